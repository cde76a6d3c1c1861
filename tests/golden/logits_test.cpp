// Logits of synthetic checkpoints against independent implementations', stored under data/ by the
// scripts in regenerate/: every golden with the numerics it was made for, on every instruction set,
// the forms of attention against each other, and prompt-then-generated against the whole prompt.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "engine/model/load.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/matrix.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {
namespace {

// Absorbed against naive attention, and generated rows against prompt rows, of the logits'
// deviation.
constexpr double kFormTolerance = 1e-5;
constexpr int kTopTokens = 8;

constexpr const char* kLogitsTable =
    "Logits: the largest difference from the golden over the golden's deviation; of avx512-bf16, "
    "which rounds activations, the middle row's root mean square";
constexpr const char* kFormsTable =
    "Rows computed as generated ones: the largest difference from the same rows of a prompt";

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

class Logits : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        golden_ = load_golden(GetParam());
        const auto options = make_golden_model(golden_, temp_);
        ASSERT_TRUE(options) << options.error().message;
        options_ = *options;
    }

    // The golden's rows.
    std::vector<float> logits(std::size_t num_prompt_rows) {
        const auto compute = golden_.is_draft ? compute_draft_logits : compute_logits;
        auto values = compute(options_, golden_.tokens, static_cast<std::int64_t>(num_prompt_rows));
        if (!values) {
            ADD_FAILURE() << values.error().message;
            return {};
        }
        return {values->begin() + static_cast<std::ptrdiff_t>(golden_.first_row * golden_.vocab),
                values->end()};
    }

    void note(const char* table, const std::string& isa, double found, double tolerance) {
        matrix().note(table, golden_.numerics(), GetParam(), isa, found, tolerance);
    }

    double median_row(const std::vector<float>& ours) const {
        return median_row_difference(ours, golden_.logits, golden_.vocab) / golden_.deviation;
    }

    // What FP8 activations cost in the middle row: the definition without them against the golden.
    double quantisation_noise() {
        RunnerOptions wide = options_;
        wide.isa = "scalar";
        wide.numerics = schema::Numerics::kW8A16;
        std::swap(options_, wide);
        const std::vector<float> found = logits(golden_.tokens.size());
        std::swap(options_, wide);
        return median_row(found);
    }

    double relative(const std::vector<float>& a, const std::vector<float>& b) const {
        return largest_difference(a, b) / golden_.deviation;
    }

    Golden golden_;
    test::TempDir temp_;
    RunnerOptions options_;
};

TEST_P(Logits, MatchTheIndependentImplementation) {
    const std::vector<float> ours = logits(golden_.tokens.size());
    const double found = relative(ours, golden_.logits);
    note(kLogitsTable, "scalar", found, golden_.tolerance);
    EXPECT_LE(found, golden_.tolerance);
    if (golden_.is_quantised) return;
    for (std::size_t row = 0; row < golden_.rows; ++row) {
        EXPECT_EQ(top_tokens(ours, row, golden_.vocab),
                  top_tokens(golden_.logits, row, golden_.vocab))
            << "row " << row;
    }
}

// Not w8a8_block: its two forms of attention differ by definition.
class W8A16Logits : public Logits {};

TEST_P(W8A16Logits, GeneratedRowsMatchPromptRows) {
    const std::size_t count = golden_.tokens.size();
    const std::vector<float> prompt = logits(count);
    const double generated = relative(prompt, logits(0));
    const double mixed = relative(prompt, logits(count / 2));
    note(kFormsTable, "scalar", std::max(generated, mixed), kFormTolerance);
    EXPECT_LE(generated, kFormTolerance);
    EXPECT_LE(mixed, kFormTolerance);
    const bool has_two_forms = golden_.about["config"].contains("kv_lora_rank");
    EXPECT_EQ(generated > 0.0, has_two_forms);  // two computations, not one
}

// Sets that round rows to BF16 before each product are held to this in the middle row: a rounding
// may also turn a close choice of experts, which moves a row as a whole.
constexpr double kBf16SetTolerance = 3e-2;
// With activations in FP8 such a set is held to what those cost, times this: a rounding turns a
// code, which moves its value by a whole step, and in two layers a tenth of the codes have turned.
constexpr double kTurnedCodes = 1.5;

TEST_P(Logits, EveryInstructionSetMatches) {
    // The independent implementation of w8a8_block has the naive form alone.
    std::vector<std::size_t> prompts{golden_.tokens.size()};
    if (!golden_.is_quantised) prompts.push_back(0);
    const double bf16_tolerance =
        golden_.is_quantised ? kTurnedCodes * quantisation_noise() : kBf16SetTolerance;
    for (const std::string& isa : fast_instruction_sets()) {
        options_.isa = isa;
        const bool is_bf16 = rounds_to_bf16(isa);
        const double tolerance = is_bf16 ? bf16_tolerance : golden_.tolerance;
        std::vector<std::vector<float>> forms;
        for (const std::size_t num_prompt_rows : prompts) {
            forms.push_back(logits(num_prompt_rows));
            const double found =
                is_bf16 ? median_row(forms.back()) : relative(forms.back(), golden_.logits);
            note(kLogitsTable, isa, found, tolerance);
            EXPECT_LE(found, tolerance) << isa;
        }
        if (is_bf16 || golden_.is_quantised) continue;
        const double between = relative(forms[0], forms[1]);
        note(kFormsTable, isa, between, kFormTolerance);
        EXPECT_LE(between, kFormTolerance) << isa;
    }
}

constexpr auto kNameOf = [](const auto& test_case) { return test_case.param; };

const auto kW8A16Cases = testing::Values("deepseek_v3_tiny",
                                         "deepseek_v3_plain",
                                         "deepseek_v3_uneven",
                                         "deepseek_v3_groups",
                                         "deepseek_v3_dense2",
                                         "deepseek_v3_odd",
                                         "deepseek_v3_long",
                                         "deepseek_v3_tiny_mtp",
                                         "deepseek_v3_groups_mtp",
                                         "qwen3_distill",
                                         "qwen3_tied",
                                         "qwen3_plain",
                                         "qwen3_far");

INSTANTIATE_TEST_SUITE_P(Cases, Logits, kW8A16Cases, kNameOf);
INSTANTIATE_TEST_SUITE_P(Cases, W8A16Logits, kW8A16Cases, kNameOf);
INSTANTIATE_TEST_SUITE_P(W8A8Cases,
                         Logits,
                         testing::Values("deepseek_v3_tiny_w8a8",
                                         "deepseek_v3_groups_w8a8",
                                         "deepseek_v3_uneven_w8a8",
                                         "deepseek_v3_dense2_w8a8"),
                         kNameOf);

}  // namespace
}  // namespace turnpike::engine
