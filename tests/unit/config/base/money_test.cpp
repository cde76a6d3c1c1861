// Money is exact: texts round-trip, costs are integers, and an overflow aborts instead of wrapping.
#include "config/base/money.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/random.h"

namespace turnpike {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();

TEST(Money, ParsesExactAmounts) {
    EXPECT_EQ(parse_usd("20").value().value(), 20'000'000'000);
    EXPECT_EQ(parse_usd("0.05").value().value(), 50'000'000);
    EXPECT_EQ(parse_usd("0.000000001").value().value(), 1);
    EXPECT_EQ(parse_usd("-3.5").value().value(), -3'500'000'000);
    EXPECT_EQ(parse_usd("9223372036.854775807").value().value(), kMax);
}

TEST(Money, RefusesWhatIsNoExactAmount) {
    for (const char* text :
         {"", "-", ".", "1.", ".5", "1e3", "+1", "1,5", " 1", "1 ", "0.0000000001", "--1",
          "9223372036.854775808", "99999999999999999999", "1.2.3", "nan"}) {
        const Result<NanoUsd> amount = parse_usd(text);
        ASSERT_FALSE(amount.has_value()) << "'" << text << "'";
        EXPECT_EQ(amount.error().code, ErrorCode::kInvalidArgument);
    }
}

TEST(Money, FormatsTheShortestExactDecimal) {
    EXPECT_EQ(format_usd(NanoUsd(0)), "0.00");
    EXPECT_EQ(format_usd(NanoUsd(86'100)), "0.0000861");
    EXPECT_EQ(format_usd(NanoUsd(20'000'000'000)), "20.00");
    EXPECT_EQ(format_usd(NanoUsd(-3'500'000'000)), "-3.50");
    EXPECT_EQ(format_usd(NanoUsd(kMin)), "-9223372036.854775808");
}

TEST(Money, TextRoundTrips) {
    test::SeededRandom random(20261);
    SCOPED_TRACE(random.replay());
    for (int i = 0; i < 10'000; ++i) {
        const NanoUsd amount(random.between(-kMax, kMax));
        ASSERT_EQ(parse_usd(format_usd(amount)).value(), amount);
    }
}

TEST(Money, CostCountsCachedTokensAtTheirOwnPrice) {
    const Price price{.version = 1,
                      .input_nano_usd = NanoUsd(3'000),
                      .cached_input_nano_usd = NanoUsd(1'000),
                      .output_nano_usd = NanoUsd(7'000),
                      .per_minute_nano_usd = NanoUsd()};
    const TokenUsage usage{
        .prompt_tokens = 10, .cached_tokens = 4, .completion_tokens = 5, .reasoning_tokens = 2};
    EXPECT_EQ(cost_of(price, usage).value(), 6 * 3'000 + 4 * 1'000 + 5 * 7'000);
}

TEST(MoneyDeathTest, OverflowAborts) {
    EXPECT_DEATH((void)(NanoUsd(kMax) + NanoUsd(1)), "overflow");
    EXPECT_DEATH((void)(NanoUsd(kMin) - NanoUsd(1)), "overflow");
    EXPECT_DEATH((void)(-NanoUsd(kMin)), "overflow");
    EXPECT_DEATH((void)multiply(NanoUsd(kMax), 2), "overflow");
}

TEST(MoneyDeathTest, MoreCachedThanPromptAborts) {
    const TokenUsage usage{
        .prompt_tokens = 1, .cached_tokens = 2, .completion_tokens = 0, .reasoning_tokens = 0};
    EXPECT_DEATH((void)cost_of(Price{}, usage), "cached_tokens");
}

}  // namespace
}  // namespace turnpike
