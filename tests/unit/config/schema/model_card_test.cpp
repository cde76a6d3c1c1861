// The shipped cards hold what they should, and a price that is no integer of nano-dollars is
// refused.
#include "config/schema/model_card.h"

#include <gtest/gtest.h>

namespace turnpike::schema {
namespace {

const std::string kCards = std::string(TURNPIKE_SOURCE_DIR) + "/config/files/models/";

std::string card_with(const std::string& extra) {
    return R"({"id": "a/b", "display_name": "B", "organization": "A", "licence": "MIT",
        "context_length": 100, "default_max_tokens": 10, "max_max_tokens": 50,
        "output_usd_per_mtok": "7")" +
           extra + "}";
}

TEST(ModelCard, DeepSeekR1CostsThreeAndSevenDollarsPerMillion) {
    const ModelCard card = load_model_card(kCards + "deepseek-r1-0528.json").value();
    EXPECT_EQ(card.input_nano_usd, NanoUsd(3000));
    EXPECT_EQ(card.output_nano_usd, NanoUsd(7000));
    EXPECT_EQ(card.default_max_tokens, 32768);
    EXPECT_EQ(card.reasoning, ReasoningParser::kDeepseekR1);
}

TEST(ModelCard, TheDistillHasNoPriceUntilAnOperatorSetsOne) {
    const ModelCard card = load_model_card(kCards + "deepseek-r1-0528-qwen3-8b.json").value();
    EXPECT_FALSE(card.has_prices);
    EXPECT_EQ(card.parameters, 8190735360);
    EXPECT_EQ(card.quantization, "bf16");
    EXPECT_EQ(card.max_max_tokens, 65536);
    ASSERT_EQ(card.benchmarks.size(), 5U);
    EXPECT_EQ(card.benchmarks[0].name, "AIME 2024");
    EXPECT_EQ(card.benchmarks[0].score, 86.0);
}

TEST(ModelCard, R1HasItsAliasAndItsTable) {
    const ModelCard card = load_model_card(kCards + "deepseek-r1-0528.json").value();
    EXPECT_TRUE(card.has_prices);
    EXPECT_EQ(card.aliases, std::vector<std::string>{"deepseek-ai/DeepSeek-R1"});
    EXPECT_EQ(card.benchmarks.size(), 17U);
}

TEST(ModelCard, TinyRandomDoesNotReason) {
    const ModelCard card = load_model_card(kCards + "tiny-random.json").value();
    EXPECT_EQ(card.id, "turnpike/tiny-random");
    EXPECT_EQ(card.reasoning, ReasoningParser::kNone);
    EXPECT_EQ(card.default_max_tokens, 128);
}

TEST(ModelCard, RefusesBadValuesByName) {
    EXPECT_TRUE(parse_model_card(card_with(R"(, "input_usd_per_mtok": "0.001")"), "f").has_value());
    for (const auto& [extra, param] : std::vector<std::pair<std::string, std::string>>{
             {R"(, "input_usd_per_mtok": "0.0001")", "input_usd_per_mtok"},
             {R"(, "input_usd_per_mtok": "-1")", "input_usd_per_mtok"},
             {R"(, "input_usd_per_mtok": "1", "reasoning": "maybe")", "reasoning"},
             {R"(, "input_usd_per_mtok": "1", "default_top_p": 0)", "default_top_p"},
             {R"(, "input_usd_per_mtok": "1", "default_temperature": 3)", "default_temperature"},
             {R"(, "input_usd_per_mtok": "1", "surprise": 3)", "surprise"},
             {R"(, "input_usd_per_mtok": "1", "parameters": -1)", "parameters"},
             // A million such tokens would already overflow what a bill can hold.
             {R"(, "input_usd_per_mtok": "9000000000")", "input_usd_per_mtok"},
             {"", "input_usd_per_mtok"}}) {
        const auto card = parse_model_card(card_with(extra), "f");
        ASSERT_FALSE(card.has_value()) << extra;
        EXPECT_EQ(card.error().param, param);
    }
}

}  // namespace
}  // namespace turnpike::schema
