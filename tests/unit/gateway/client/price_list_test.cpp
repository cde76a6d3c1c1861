// Prices are read exactly, or not at all.
#include "gateway/client/price_list.h"

#include <gtest/gtest.h>

namespace turnpike::gateway::client {
namespace {

std::optional<Price> price_of(const std::string& pricing) {
    return PriceList::parse(R"({"data":[{"id":"m","pricing":)" + pricing + "}]}").value().find("m");
}

TEST(PriceList, PricesAreExact) {
    const Price price = *price_of(R"({"input":3.00,"output":7,"cached_input":0.001})");
    EXPECT_EQ(price.input_nano_usd, NanoUsd(3000));
    EXPECT_EQ(price.output_nano_usd, NanoUsd(7000));
    EXPECT_EQ(price.cached_input_nano_usd, NanoUsd(1));
    EXPECT_EQ(price_of(R"({"input":0.55,"output":2.19})")->input_nano_usd, NanoUsd(550));
    EXPECT_EQ(price_of(R"({"input":0.55,"output":2.19})")->output_nano_usd, NanoUsd(2190));
    for (int thousandths = 0; thousandths < 20'000; ++thousandths) {
        const std::string decimal = std::to_string(thousandths / 1000) + "." +
                                    std::to_string(thousandths % 1000 + 1000).substr(1);
        const auto listed = price_of(R"({"input":)" + decimal + R"(,"output":0})");
        ASSERT_TRUE(listed) << decimal;
        ASSERT_EQ(listed->input_nano_usd, NanoUsd(thousandths)) << decimal;
    }
}

TEST(PriceList, WithoutAPriceForCachedTokensTheyCostTheSame) {
    EXPECT_EQ(price_of(R"({"input":3,"output":7})")->cached_input_nano_usd, NanoUsd(3000));
}

TEST(PriceList, APriceThatIsNoneIsNotGuessed) {
    for (const char* pricing :
         {"null", "{}", R"({"input":3})", R"({"input":"3","output":7})",
          R"({"input":-3,"output":7})", R"({"input":0.0001,"output":7})",
          R"({"input":1e300,"output":7})", R"({"input":1000000001,"output":7})",
          R"({"input":3,"output":7,"cached_input":"free"})"}) {
        EXPECT_FALSE(price_of(pricing)) << pricing;
    }
}

TEST(PriceList, ReadsBothShapesOfAList) {
    const auto names = PriceList::parse(R"([{"id":"b"},{"id":"a"},{"id":7},8])").value().names();
    EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
    EXPECT_FALSE(PriceList::parse("[]").value().find("a"));
    for (const char* text : {"", "{", "{}", "7", R"({"data":{}})"})
        EXPECT_EQ(PriceList::parse(text).error().code, ErrorCode::kCorrupt) << text;
}

TEST(CostIfSane, CountsThatMakeNoSenseCostNothingKnown) {
    Price price;
    price.input_nano_usd = NanoUsd(1'000'000'000);
    price.cached_input_nano_usd = NanoUsd(1'000'000'000);
    price.output_nano_usd = NanoUsd(1'000'000'000);
    EXPECT_EQ(cost_if_sane(price, {2, 1, 3, 0}), NanoUsd(5'000'000'000));
    const TokenCount most = 1'000'000'000;
    EXPECT_TRUE(cost_if_sane(price, {most, most, most, 0}));
    for (const TokenUsage& usage :
         {TokenUsage{-1, 0, 0, 0}, TokenUsage{1, 2, 0, 0}, TokenUsage{0, -1, 0, 0},
          TokenUsage{0, 0, -1, 0}, TokenUsage{most + 1, 0, 0, 0}, TokenUsage{0, 0, most + 1, 0}})
        EXPECT_FALSE(cost_if_sane(price, usage));
}

}  // namespace
}  // namespace turnpike::gateway::client
