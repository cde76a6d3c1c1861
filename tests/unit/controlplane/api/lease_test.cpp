// The codecs of leases and limits.
#include "controlplane/api/lease.h"

#include <gtest/gtest.h>

#include "controlplane/api/limits.h"

namespace turnpike::controlplane {
namespace {

TEST(LeaseTest, RequestsAndAnswersComeBackAsTheyWere) {
    LeaseRequest request;
    request.gateway = "outbox";
    request.epoch = Epoch(3);
    request.has_delivered_earlier_runs = true;
    request.asks.push_back({"organisation:org_a", NanoUsd(1), NanoUsd(2), NanoUsd(3)});
    const auto again = parse_lease_request(write_lease_request(request));
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(write_lease_request(*again), write_lease_request(request));
    EXPECT_EQ(again->asks[0].wanted, NanoUsd(3));

    LeaseAnswer answer{Epoch(3), 600'000, 250'000, {{"key:k", NanoUsd(7), true}}};
    const auto parsed = parse_lease_answer(write_lease_answer(answer));
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    EXPECT_EQ(write_lease_answer(*parsed), write_lease_answer(answer));
}

TEST(LeaseTest, NegativeAmountsAndNamelessGatewaysAreRefused) {
    LeaseRequest request;
    EXPECT_EQ(parse_lease_request(write_lease_request(request)).error().param, "gateway");
    request.gateway = "outbox";
    request.asks.push_back({"organisation:org_a", NanoUsd(-1), NanoUsd(), NanoUsd()});
    EXPECT_FALSE(parse_lease_request(write_lease_request(request)).has_value());
    request.asks.assign(kMaxLeaseAsks + 1, LeaseAsk{"key:k", NanoUsd(), NanoUsd(), NanoUsd()});
    EXPECT_EQ(parse_lease_request(write_lease_request(request)).error().param, "asks");
    EXPECT_FALSE(parse_lease_answer(R"({"epoch":1,"lifetime_ms":1,"share_ppm":1000001,)"
                                    R"("grants":[]})")
                     .has_value());
}

TEST(LimitsTest, AreReadAndWrittenAndBounded) {
    Limits limits;
    limits.requests_per_minute = 60;
    limits.monthly_spend = NanoUsd(0);
    EXPECT_EQ(parse_limits(write_limits(limits)).value(), limits);
    EXPECT_EQ(parse_limits("{}").value(), Limits());
    EXPECT_EQ(parse_limits(R"({"tokens_per_minute":0})").error().param, "tokens_per_minute");
    EXPECT_EQ(parse_limits(R"({"concurrent_requests":1000000000001})").error().param,
              "concurrent_requests");
    EXPECT_EQ(parse_limits(R"({"monthly_nano_usd":-1})").error().param, "monthly_nano_usd");
    EXPECT_EQ(parse_limits(R"({"requests_per_minute":0})").error().message,
              "'requests_per_minute': expected 1 to 1000000000000, found 0");
    EXPECT_EQ(limits_subject(OrgId("o")), "organisation:o");
    EXPECT_EQ(limits_subject(KeyId("k")), "key:k");
    EXPECT_EQ(model_limits_subject("m"), "model:m");
}

TEST(LimitsTest, ChangeIsWhatIsNamed) {
    Limits limits;
    limits.requests_per_minute = 60;
    limits.monthly_spend = NanoUsd(5);
    const auto merged =
        merge_limits(limits, R"({"tokens_per_minute":7,"monthly_nano_usd":null,"other":1})");
    ASSERT_TRUE(merged.has_value());
    EXPECT_EQ(merged->requests_per_minute, 60);
    EXPECT_EQ(merged->tokens_per_minute, 7);
    EXPECT_FALSE(merged->monthly_spend.has_value());
    EXPECT_EQ(merge_limits(limits, "{}").value(), limits);
    EXPECT_EQ(merge_limits(limits, R"({"tokens_per_minute":0})").error().param,
              "tokens_per_minute");
    EXPECT_EQ(merge_limits(limits, "[]").error().message, "limits: expected a JSON object");
}

}  // namespace
}  // namespace turnpike::controlplane
