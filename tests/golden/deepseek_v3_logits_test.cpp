// Logits of synthetic DeepSeek-V3 checkpoints against an independent implementation's, stored under
// data/ by regenerate/deepseek_v3_logits.py; and the two forms of attention against each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "engine/model/load.h"
#include "engine/model/synth.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {
namespace {

constexpr double kFormTolerance =
    1e-5;  // absorbed against naive attention, of the logits' deviation
constexpr int kTopTokens = 8;

struct Golden {
    nlohmann::json about;
    std::vector<TokenId> tokens;
    std::vector<float> logits;  // [positions, vocab]
    std::size_t vocab = 0;
    double deviation = 0.0;
    double tolerance = 0.0;
};

Golden load_golden(const std::string& name) {
    const std::string stem =
        std::string(TURNPIKE_SOURCE_DIR) + "/tests/golden/data/deepseek_v3_" + name;
    Golden golden;
    golden.about = nlohmann::json::parse(std::ifstream(stem + ".json"));
    golden.tokens = golden.about["tokens"].get<std::vector<TokenId>>();
    golden.vocab = golden.about["shape"][1].get<std::size_t>();
    golden.deviation = golden.about["deviation"].get<double>();
    golden.tolerance = golden.about["tolerance"].get<double>();
    golden.logits.resize(golden.tokens.size() * golden.vocab);
    std::ifstream file(stem + ".bin", std::ios::binary);
    const auto bytes = static_cast<std::streamsize>(golden.logits.size() * sizeof(float));
    file.read(reinterpret_cast<char*>(golden.logits.data()), bytes);
    EXPECT_EQ(file.gcount(), bytes);
    EXPECT_EQ(file.peek(), std::ifstream::traits_type::eof());
    return golden;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    double largest = 0.0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        // A NaN compares false with everything, and must not pass.
        if (!(difference <= largest)) largest = difference;
    }
    return largest;
}

std::vector<std::size_t> top_tokens(const std::vector<float>& logits,
                                    std::size_t row,
                                    std::size_t vocab) {
    std::vector<std::size_t> tokens(vocab);
    std::iota(tokens.begin(), tokens.end(), 0U);
    const float* values = logits.data() + row * vocab;
    std::partial_sort(tokens.begin(), tokens.begin() + kTopTokens, tokens.end(),
                      [&](auto a, auto b) { return values[a] > values[b]; });
    tokens.resize(kTopTokens);
    return tokens;
}

class DeepseekV3Logits : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        golden_ = load_golden(GetParam());
        std::ofstream(temp_.file("in.json")) << golden_.about["config"].dump();
        const Status status = synthesize_checkpoint({temp_.file("in.json"),
                                                     golden_.about["seed"].get<std::uint64_t>(),
                                                     temp_.file("model")});
        ASSERT_TRUE(status) << status.error().message;
        options_.model_dir = temp_.file("model");
        options_.isa = "scalar";
    }

    std::vector<float> logits(std::size_t num_prompt_rows) {
        auto values =
            compute_logits(options_, golden_.tokens, static_cast<std::int64_t>(num_prompt_rows));
        if (values) return *values;
        ADD_FAILURE() << values.error().message;
        return {};
    }

    Golden golden_;
    test::TempDir temp_;
    RunnerOptions options_;
};

TEST_P(DeepseekV3Logits, NaiveRowsMatchTheIndependentImplementation) {
    const std::vector<float> ours = logits(golden_.tokens.size());
    const double relative = largest_difference(ours, golden_.logits) / golden_.deviation;
    RecordProperty("relative_difference", std::to_string(relative));
    EXPECT_LE(relative, golden_.tolerance);
    std::printf("largest difference over deviation: %.3g\n", relative);
}

TEST_P(DeepseekV3Logits, TheSameTokensLead) {
    const std::vector<float> ours = logits(golden_.tokens.size());
    for (std::size_t row = 0; row < golden_.tokens.size(); ++row) {
        EXPECT_EQ(top_tokens(ours, row, golden_.vocab),
                  top_tokens(golden_.logits, row, golden_.vocab))
            << "position " << row;
    }
}

TEST_P(DeepseekV3Logits, AbsorbedRowsMatchNaiveRows) {
    const std::vector<float> naive = logits(golden_.tokens.size());
    const std::vector<float> absorbed = logits(0);
    const double relative = largest_difference(naive, absorbed) / golden_.deviation;
    std::printf("largest difference over deviation: %.3g\n", relative);
    EXPECT_LE(relative, kFormTolerance);
    EXPECT_GT(relative, 0.0);  // two computations, not one
}

TEST_P(DeepseekV3Logits, GeneratedRowsAfterAPromptMatchTheWholePrompt) {
    const std::vector<float> whole = logits(golden_.tokens.size());
    const std::vector<float> mixed = logits(golden_.tokens.size() / 2);
    EXPECT_LE(largest_difference(whole, mixed) / golden_.deviation, kFormTolerance);
}

// sqrt(mean (a - b)^2).
double root_mean_square_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
    return std::sqrt(sum / static_cast<double>(a.size()));
}

// f32 sums in another order, and rows rounded to BF16 before each product: root mean square over
// the logits' deviation. A BF16 row may also turn a close choice of experts.
constexpr double kF32SetTolerance = 1e-5;
constexpr double kBf16SetTolerance = 1e-1;

TEST_P(DeepseekV3Logits, EveryInstructionSetMatches) {
    for (const std::string isa : {"avx2", "avx512", "avx512-bf16"}) {
        options_.isa = isa;
        auto prompt = compute_logits(options_, golden_.tokens, 1000000);
        if (!prompt && prompt.error().param == "isa") continue;  // not this machine's
        ASSERT_TRUE(prompt) << prompt.error().message;
        const double tolerance = isa == "avx512-bf16" ? kBf16SetTolerance : kF32SetTolerance;
        for (const auto& ours : {*prompt, logits(0)}) {
            const double relative =
                root_mean_square_difference(ours, golden_.logits) / golden_.deviation;
            std::printf("%s: root mean square difference over deviation: %.3g\n", isa.c_str(),
                        relative);
            EXPECT_LE(relative, tolerance) << isa;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         DeepseekV3Logits,
                         testing::Values("tiny", "plain", "uneven"),
                         [](const auto& test_case) { return test_case.param; });

}  // namespace
}  // namespace turnpike::engine
