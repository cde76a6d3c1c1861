// Logits of synthetic checkpoints against independent implementations', stored under data/ by the
// scripts in regenerate/: every golden with the numerics it was made for, the forms of attention
// against each other, and prompt-then-generated against the whole prompt. The last test prints what
// was found as a matrix.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "engine/model/load.h"
#include "engine/model/synth.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {
namespace {

// Absorbed against naive attention, and generated rows against prompt rows, of the logits'
// deviation.
constexpr double kFormTolerance = 1e-5;
constexpr int kTopTokens = 8;

struct Golden {
    nlohmann::json about;
    std::vector<TokenId> tokens;
    std::vector<float> logits;  // [rows, vocab]
    std::size_t rows = 0;
    std::size_t first_row = 0;
    std::size_t vocab = 0;
    double deviation = 0.0;
    double tolerance = 0.0;
    bool is_draft = false;
    bool is_quantised = false;
};

Golden load_golden(const std::string& name) {
    const std::string stem = std::string(TURNPIKE_SOURCE_DIR) + "/tests/golden/data/" + name;
    Golden golden;
    golden.about = nlohmann::json::parse(std::ifstream(stem + ".json"));
    golden.tokens = golden.about["tokens"].get<std::vector<TokenId>>();
    golden.rows = golden.about["shape"][0].get<std::size_t>();
    golden.first_row = golden.about["first_row"].get<std::size_t>();
    golden.vocab = golden.about["shape"][1].get<std::size_t>();
    golden.deviation = golden.about["deviation"].get<double>();
    golden.tolerance = golden.about["tolerance"].get<double>();
    golden.is_draft = golden.about.value("quantity", "logits") == "draft";
    golden.is_quantised = golden.about.value("numerics", "w8a16") == "w8a8_block";
    golden.logits.resize(golden.rows * golden.vocab);
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

// Figures over the deviation of the golden's logits, for the matrix: golden, instruction set.
struct Found {
    std::string numerics;
    double against_golden = 0.0;
    double median_row = 0.0;  // root mean square
    double tolerance = 0.0;
    double against_generated = 0.0;  // every row as a generated one
};

std::map<std::pair<std::string, std::string>, Found>& all_found() {
    static std::map<std::pair<std::string, std::string>, Found> found;
    return found;
}

// sqrt(mean (a - b)^2) of the middle row.
double median_row_difference(const std::vector<float>& a,
                             const std::vector<float>& b,
                             std::size_t vocab) {
    std::vector<double> rows;
    for (std::size_t start = 0; start + vocab <= std::min(a.size(), b.size()); start += vocab) {
        double sum = 0.0;
        for (std::size_t i = start; i < start + vocab; ++i) {
            sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
        }
        rows.push_back(std::sqrt(sum / static_cast<double>(vocab)));
    }
    std::sort(rows.begin(), rows.end());
    return rows.empty() ? std::nan("") : rows[rows.size() / 2];
}

class Logits : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        golden_ = load_golden(GetParam());
        std::ofstream(temp_.file("in.json")) << golden_.about["config"].dump();
        SynthOptions synth;
        synth.config_path = temp_.file("in.json");
        synth.seed = golden_.about["seed"].get<std::uint64_t>();
        synth.out_dir = temp_.file("model");
        const Status status = synthesize_checkpoint(synth);
        ASSERT_TRUE(status) << status.error().message;
        options_.model_dir = temp_.file("model");
        options_.isa = "scalar";
        if (golden_.is_quantised) options_.numerics = schema::Numerics::kW8A8Block;
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

    const Found& note(const std::string& isa, const std::vector<float>& ours, double tolerance) {
        Found& found = all_found()[{GetParam(), isa}];
        found.numerics = golden_.is_quantised ? "w8a8_block" : "w8a16";
        found.tolerance = tolerance;
        found.against_golden = relative(ours, golden_.logits);
        found.median_row =
            median_row_difference(ours, golden_.logits, golden_.vocab) / golden_.deviation;
        std::printf("%s: largest difference over deviation %.3g\n", isa.c_str(),
                    found.against_golden);
        return found;
    }

    // What FP8 activations cost in the middle row: the definition without them against the golden.
    double quantisation_noise() {
        RunnerOptions wide = options_;
        wide.isa = "scalar";
        wide.numerics = schema::Numerics::kW8A16;
        std::swap(options_, wide);
        const std::vector<float> found = logits(golden_.tokens.size());
        std::swap(options_, wide);
        return median_row_difference(found, golden_.logits, golden_.vocab) / golden_.deviation;
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
    const Found& found = note("scalar", ours, golden_.tolerance);
    RecordProperty("relative_difference", std::to_string(found.against_golden));
    EXPECT_LE(found.against_golden, golden_.tolerance);
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
    all_found()[{GetParam(), "scalar"}].against_generated = generated;
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
    for (const std::string isa : {"avx2", "avx512", "avx512-bf16"}) {
        options_.isa = isa;
        const auto probe = compute_logits(options_, std::vector<TokenId>{0}, 1);
        if (!probe && probe.error().param == "isa") continue;  // not this machine's
        const bool is_bf16 = isa == "avx512-bf16";
        for (const std::size_t num_prompt_rows : prompts) {
            const double tolerance = is_bf16 ? bf16_tolerance : golden_.tolerance;
            const Found& found = note(isa, logits(num_prompt_rows), tolerance);
            EXPECT_LE(is_bf16 ? found.median_row : found.against_golden, tolerance) << isa;
        }
    }
}

constexpr auto kNameOf = [](const auto& test_case) { return test_case.param; };

const auto kW8A16Cases = testing::Values("deepseek_v3_tiny",
                                         "deepseek_v3_plain",
                                         "deepseek_v3_uneven",
                                         "deepseek_v3_groups",
                                         "deepseek_v3_dense2",
                                         "deepseek_v3_long",
                                         "deepseek_v3_tiny_mtp",
                                         "deepseek_v3_groups_mtp",
                                         "qwen3_distill",
                                         "qwen3_tied",
                                         "qwen3_plain");

INSTANTIATE_TEST_SUITE_P(Cases, Logits, kW8A16Cases, kNameOf);
INSTANTIATE_TEST_SUITE_P(Cases, W8A16Logits, kW8A16Cases, kNameOf);
INSTANTIATE_TEST_SUITE_P(W8A8Cases,
                         Logits,
                         testing::Values("deepseek_v3_tiny_w8a8",
                                         "deepseek_v3_groups_w8a8",
                                         "deepseek_v3_uneven_w8a8",
                                         "deepseek_v3_dense2_w8a8"),
                         kNameOf);

// Whole only when the binary runs all of its tests in one process.
class Matrix : public testing::Environment {
  public:
    void TearDown() override {
        std::printf("%-26s %-11s %-12s %10s %10s %10s %10s\n", "golden", "numerics", "isa",
                    "largest", "median row", "tolerance", "generated");
        for (const auto& [key, found] : all_found()) {
            std::printf("%-26s %-11s %-12s %10.2e %10.2e %10.0e %10.2e\n", key.first.c_str(),
                        found.numerics.c_str(), key.second.c_str(), found.against_golden,
                        found.median_row, found.tolerance, found.against_generated);
        }
    }
};

const auto* const kMatrix = testing::AddGlobalTestEnvironment(new Matrix);

}  // namespace
}  // namespace turnpike::engine
