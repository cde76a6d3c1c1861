// Our tokenizer against the `tokenizers` package: the same ids for the same strings.
#include "engine/text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/text/synth_tokenizer.h"

namespace turnpike::engine::text {
namespace {

using nlohmann::json;

constexpr char kQwen3Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

void expect_golden(const Tokenizer& tokenizer, const std::string& name) {
    std::ifstream file(std::string(TURNPIKE_SOURCE_DIR) + "/tests/golden/data/" + name);
    const json golden = json::parse(file);
    ASSERT_GT(golden["cases"].size(), 400U);
    for (const json& entry : golden["cases"]) {
        const auto text = entry["text"].get<std::string>();
        EXPECT_EQ(tokenizer.encode(text, SpecialTokens::kMatch),
                  entry["ids"].get<std::vector<TokenId>>())
            << entry["text"].dump(-1, ' ', true);
    }
}

TEST(TokenizerGolden, DeepSeekPreTokenizer) {
    const std::string text = synthesize_tokenizer_json(2048).value();
    expect_golden(Tokenizer::parse(text, "synthetic").value(), "tokenizer_deepseek.json");
}

TEST(TokenizerGolden, Qwen3PreTokenizerWithNfc) {
    json spec = json::parse(synthesize_tokenizer_json(2048).value());
    spec["normalizer"] = {{"type", "NFC"}};
    json stages = json::array();
    stages.push_back({{"type", "Split"},
                      {"pattern", {{"Regex", kQwen3Pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}});
    stages.push_back(spec["pre_tokenizer"]["pretokenizers"].back());
    spec["pre_tokenizer"]["pretokenizers"] = stages;
    expect_golden(Tokenizer::parse(spec.dump(), "synthetic").value(), "tokenizer_qwen3.json");
}

}  // namespace
}  // namespace turnpike::engine::text
