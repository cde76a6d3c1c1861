// Limits of several subjects at once, and the headers that tell of them.
#include "gateway/policy/limit_meter.h"

#include <gtest/gtest.h>

#include <array>

#include "gateway/policy/limit_headers.h"

namespace turnpike::gateway {
namespace {

using controlplane::Limits;

constexpr Nanos kSecond = 1'000'000'000;

Limits limits_of(std::optional<std::int64_t> requests,
                 std::optional<std::int64_t> tokens,
                 std::optional<std::int64_t> concurrent) {
    return Limits{requests, tokens, concurrent, {}};
}

class LimitMeterTest : public testing::Test {
  protected:
    LimitMeter key_;
    LimitMeter org_;
    std::array<LimitScope, 2> scopes_{LimitScope{&key_, limits_of(2, 100, {}), "key"},
                                      LimitScope{&org_, limits_of(60, 6000, 1), "organisation"}};
};

TEST_F(LimitMeterTest, RefusedRequestConsumesNothing) {
    charge(scopes_, {1, 60, 0});
    const auto refusal = check_limits(scopes_, 60, 0);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->kind, LimitKind::kTokens);
    EXPECT_EQ(refusal->scope, "key");
    EXPECT_EQ(refusal->retry_after, 12 * kSecond);  // 20 tokens at 100 per minute
    EXPECT_EQ(org_.requests.remaining(60, 0), 59);
    EXPECT_EQ(key_.requests.remaining(2, 0), 1);
}

TEST_F(LimitMeterTest, SlotIsFreeAfterSettling) {
    LimitCharge first{1, 10, 0};
    charge(scopes_, first);
    const auto refusal = check_limits(scopes_, 10, 0);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->kind, LimitKind::kConcurrency);
    settle(scopes_, first, 10, false, 0);
    EXPECT_FALSE(check_limits(scopes_, 10, 0).has_value());
}

TEST_F(LimitMeterTest, EstimateIsCorrectedAndSettledOnTheTruth) {
    LimitCharge first{1, 50, 0};
    charge(scopes_, first);
    correct(scopes_, first, 20, 0);
    EXPECT_EQ(key_.tokens.remaining(100, 0), 80);
    settle(scopes_, first, 90, false, 0);
    EXPECT_EQ(key_.tokens.remaining(100, 0), 10);
    EXPECT_EQ(org_.tokens.remaining(6000, 0), 5910);
    EXPECT_EQ(key_.requests.remaining(2, 0), 1);
}

TEST_F(LimitMeterTest, RefusalByTheEngineCountsAsNoRequest) {
    LimitCharge first{1, 50, 0};
    charge(scopes_, first);
    settle(scopes_, first, 0, true, 0);
    EXPECT_EQ(key_.tokens.remaining(100, 0), 100);
    EXPECT_EQ(key_.requests.remaining(2, 0), 2);
}

TEST_F(LimitMeterTest, ViewIsOfTheTightestScope) {
    charge(scopes_, {1, 30, 0});
    const LimitViews views = view_limits(scopes_, 0);
    ASSERT_TRUE(views.requests && views.tokens);
    EXPECT_EQ(views.requests->limit, 2);
    EXPECT_EQ(views.requests->remaining, 1);
    EXPECT_EQ(views.tokens->remaining, 70);
    EXPECT_EQ(limit_lines(views),
              "x-ratelimit-limit-requests: 2\r\nx-ratelimit-remaining-requests: 1\r\n"
              "x-ratelimit-reset-requests: 30s\r\nx-ratelimit-limit: 1\r\n"
              "x-ratelimit-remaining: 1\r\nx-ratelimit-reset: 30\r\n"
              "x-ratelimit-limit-tokens: 100\r\nx-ratelimit-remaining-tokens: 70\r\n"
              "x-ratelimit-reset-tokens: 18s\r\nx-tokenlimit-limit: 2\r\n"
              "x-tokenlimit-remaining: 2\r\n");
}

TEST_F(LimitMeterTest, NothingIsSaidOfWhatIsNotLimited) {
    const std::array<LimitScope, 1> open{LimitScope{&key_, Limits(), "key"}};
    EXPECT_FALSE(check_limits(open, 1'000'000, 0).has_value());
    EXPECT_EQ(limit_lines(view_limits(open, 0)), "");
}

TEST(LimitHeadersTest, DurationsRoundUp) {
    EXPECT_EQ(format_reset(0), "0s");
    EXPECT_EQ(format_reset(1), "1ms");
    EXPECT_EQ(format_reset(1'500'000'000), "1.5s");
    EXPECT_EQ(format_reset(59'999'000'001), "1m0s");
    EXPECT_EQ(format_reset(360 * kSecond), "6m0s");
    EXPECT_EQ(format_reset(61'050'000'000), "1m1.05s");
    EXPECT_EQ(limit_lines(LimitViews(), 1'000'000'001),
              "x-ratelimit-reset: 2\r\nretry-after: 2\r\nretry-after-ms: 1001\r\n");
}

TEST(LimitHeadersTest, RefusalSaysWhatAndWhen) {
    const LimitRefusal refusal{LimitKind::kRequests, "organisation", 60, 1'500'000'000};
    EXPECT_EQ(refusal_text(refusal),
              "the organisation's limit of 60 requests per minute is reached: try again in 1.5s");
}

TEST(ShareTest, NobodyIsShutOut) {
    const Limits share = share_of(limits_of(10, 3, {}), 250'000);
    EXPECT_EQ(share.requests_per_minute, 2);
    EXPECT_EQ(share.tokens_per_minute, 1);
    EXPECT_FALSE(share.concurrent_requests.has_value());
    EXPECT_EQ(share_of(limits_of(10, {}, {}), 1'000'000).requests_per_minute, 10);
}

}  // namespace
}  // namespace turnpike::gateway
