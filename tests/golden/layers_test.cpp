// Inside the forward pass: what each layer gives and which experts each token chooses, against the
// goldens that regenerate/layers.py stores, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "config/base/limits.h"
#include "engine/model/blueprint.h"
#include "engine/model/checkpoint.h"
#include "engine/model/make_backend.h"
#include "kernels/api/cpu.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/matrix.h"
#include "tests/support/watching_backend.h"

namespace turnpike::engine {
namespace {

// Tokens whose choice is closer than this in biased score are no test of anybody.
constexpr double kClearGap = 1e-5;
constexpr double kMaxUnclearShare = 0.01;
// The set that rounds activations to BF16 is held to the choices that are this clear, and in the
// middle row to this; with FP8 activations, to this times what those cost (logits_test.cpp).
constexpr double kBf16ClearGap = 1e-2;
constexpr double kBf16Tolerance = 3e-2;
constexpr double kTurnedCodes = 1.5;
constexpr double kMaxTurnedChoices = 0.15;  // of the clear ones, in that case
constexpr double kMaxTurnedChoicesCuda = 0.2;

constexpr const char* kLayersTable = "Hidden states: as the logits, of the worst layer's deviation";
constexpr const char* kExpertsTable =
    "Experts: share of tokens with another choice, of those whose choice is clear";

// What one pass over a golden's tokens gave.
struct Insides {
    std::vector<std::vector<float>> hidden;  // per layer, the golden's rows
    std::vector<kernels::Routing> routings;  // per MoE layer
};

// How the choices of experts compare.
struct Choices {
    std::size_t num_compared = 0;
    std::size_t num_other = 0;
    std::size_t num_unclear = 0;  // not compared
    double smallest_margin = std::numeric_limits<double>::infinity();

    double share_of_others() const {
        return static_cast<double>(num_other) / static_cast<double>(num_compared);
    }
};

ForwardRows prompt_rows(const std::vector<TokenId>& tokens, const std::vector<BlockId>& blocks) {
    ForwardRows rows;
    rows.tokens = tokens;
    rows.positions.resize(tokens.size());
    std::iota(rows.positions.begin(), rows.positions.end(), 0);
    rows.prompt_slices.push_back({0, static_cast<std::int64_t>(tokens.size()), 0, blocks});
    rows.logit_rows.assign(rows.positions.begin(), rows.positions.end());
    return rows;
}

class Layers : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        golden_ = load_golden(GetParam());
        layers_ = load_golden_layers(GetParam(), golden_);
        const auto options = make_golden_model(golden_, temp_);
        ASSERT_TRUE(options) << options.error().message;
        dir_ = options->model_dir;
        const auto blueprint = load_blueprint(dir_ + "/config.json");
        ASSERT_TRUE(blueprint) << blueprint.error().message;
        ASSERT_EQ(layers_.hidden.size(), static_cast<std::size_t>((*blueprint)->num_main_layers()));
    }

    Insides run(const std::string& isa, bool is_quantised) {
        const auto numerics =
            is_quantised ? kernels::Numerics::kW8A8Block : kernels::Numerics::kW8A16;
        auto backend = make_backend(isa, {numerics, 1});
        EXPECT_TRUE(backend) << backend.error().message;
        kernels::WatchingBackend watching(std::move(*backend));
        const auto blueprint = load_blueprint(dir_ + "/config.json");
        const auto checkpoint = Checkpoint::open(dir_);
        const auto model =
            (*blueprint)
                ->load(
                    *checkpoint,
                    RankOps(watching, Partition::single((*blueprint)->serving_shape()), RankLink{}),
                    false);
        EXPECT_TRUE(model) << model.error().message;
        std::vector<BlockId> blocks(golden_.tokens.size() / limits::kKvBlockTokens + 1);
        std::iota(blocks.begin(), blocks.end(), 0);
        const auto cache = (*model)->make_kv_cache(static_cast<std::int64_t>(blocks.size()));
        (*model)->forward(prompt_rows(golden_.tokens, blocks), *cache);
        return insides_of(watching);
    }

    // A layer's output is what the next layer's first norm reads, or the final norm.
    Insides insides_of(const kernels::WatchingBackend& watching) const {
        Insides insides;
        for (std::size_t i = 1; i <= layers_.hidden.size(); ++i) {
            const std::string norm =
                i < layers_.hidden.size()
                    ? "model.layers." + std::to_string(i) + ".input_layernorm.weight"
                    : "model.norm.weight";
            insides.hidden.push_back(golden_rows(watching.norm_inputs.at(norm)));
        }
        for (std::size_t i = 0; i < layers_.hidden.size(); ++i) {
            const auto routing = watching.routings.find("model.layers." + std::to_string(i) +
                                                        ".mlp.gate.e_score_correction_bias");
            if (routing != watching.routings.end()) insides.routings.push_back(routing->second);
        }
        return insides;
    }

    std::vector<float> golden_rows(const std::vector<float>& hidden) const {
        EXPECT_EQ(hidden.size(), golden_.tokens.size() * layers_.width);
        std::vector<float> rows;
        for (const std::size_t row : layers_.rows) {
            const auto begin = hidden.begin() + static_cast<std::ptrdiff_t>(row * layers_.width);
            rows.insert(rows.end(), begin, begin + static_cast<std::ptrdiff_t>(layers_.width));
        }
        return rows;
    }

    double largest(const Insides& found, std::size_t layer) const {
        return largest_difference(found.hidden[layer], layers_.hidden[layer]) /
               layers_.deviations[layer];
    }

    double median_row(const Insides& found, std::size_t layer) const {
        return median_row_difference(found.hidden[layer], layers_.hidden[layer], layers_.width) /
               layers_.deviations[layer];
    }

    void note(const char* table, const std::string& isa, double found, double tolerance) const {
        matrix().note(table, golden_.numerics(), GetParam(), isa, found, tolerance);
    }

    void expect_hidden(const Insides& found, const std::string& isa) const {
        for (std::size_t i = 0; i < layers_.hidden.size(); ++i) {
            note(kLayersTable, isa, largest(found, i), layers_.tolerance);
            EXPECT_LE(largest(found, i), layers_.tolerance) << isa << ", layer " << i;
        }
    }

    Choices choices(const Insides& found, double gap) const {
        EXPECT_EQ(found.routings.size(), layers_.experts.size());
        Choices choices;
        for (std::size_t layer = 0; layer < layers_.experts.size(); ++layer) {
            EXPECT_EQ(found.routings[layer].experts.size(), layers_.experts[layer].size());
            for (std::size_t row = 0; row < golden_.tokens.size(); ++row) {
                const double margin = layers_.gaps[layer][row];
                if (margin < gap) {
                    ++choices.num_unclear;
                    continue;
                }
                choices.smallest_margin = std::min(choices.smallest_margin, margin);
                ++choices.num_compared;
                choices.num_other += is_same_choice(found.routings[layer], layer, row) ? 0 : 1;
            }
        }
        return choices;
    }

    void expect_experts(const Insides& found, const std::string& isa) const {
        if (layers_.experts.empty()) return;
        const Choices seen = choices(found, kClearGap);
        note(kExpertsTable, isa, seen.share_of_others(), 0.0);
        EXPECT_EQ(seen.num_other, 0U) << isa << ", of " << seen.num_compared;
        const std::size_t num_all = seen.num_compared + seen.num_unclear;
        EXPECT_EQ(num_all, layers_.experts.size() * golden_.tokens.size());
        EXPECT_LE(static_cast<double>(seen.num_unclear),
                  kMaxUnclearShare * static_cast<double>(num_all));
        char words[120];
        std::snprintf(words, sizeof words, "%zu choices, %zu unclear, smallest margin %.1e",
                      seen.num_compared, seen.num_unclear, seen.smallest_margin);
        matrix().remark(kExpertsTable, golden_.numerics(), GetParam(), words);
    }

    bool is_same_choice(const kernels::Routing& routing, std::size_t layer, std::size_t row) const {
        const std::size_t first = row * layers_.num_chosen;
        for (std::size_t i = first; i < first + layers_.num_chosen; ++i) {
            if (routing.experts[i] != layers_.experts[layer][i]) return false;
        }
        return true;
    }

    void expect_weights(const Insides& found, const std::string& isa) const {
        for (std::size_t i = 0; i < layers_.weights.size(); ++i) {
            const double difference =
                largest_difference(found.routings[i].weights, layers_.weights[i]);
            EXPECT_LE(difference, layers_.tolerance) << isa << ", MoE layer " << i;
        }
    }

    // A set that rounds activations to BF16. Under FP8 activations a rounding turns codes, so it is
    // held to what those cost: to the difference that leaving them out makes.
    void expect_near(const Insides& found, const std::string& isa) {
        const Insides wide = golden_.is_quantised ? run("scalar", false) : Insides{};
        for (std::size_t i = 0; i < layers_.hidden.size(); ++i) {
            const double tolerance =
                golden_.is_quantised ? kTurnedCodes * median_row(wide, i) : kBf16Tolerance;
            note(kLayersTable, isa, median_row(found, i), tolerance);
            EXPECT_LE(median_row(found, i), tolerance) << isa << ", layer " << i;
        }
        if (layers_.experts.empty()) return;
        // CUDA leaves the latent of prompt rows unquantised, which turns a few codes more.
        const double turned = isa == kCudaName ? kMaxTurnedChoicesCuda : kMaxTurnedChoices;
        const double allowed = golden_.is_quantised ? turned : 0.0;
        const Choices seen = choices(found, kBf16ClearGap);
        EXPECT_GT(seen.num_compared, 0U);
        note(kExpertsTable, isa, seen.share_of_others(), allowed);
        EXPECT_LE(seen.share_of_others(), allowed) << isa << ", of " << seen.num_compared;
    }

    Golden golden_;
    GoldenLayers layers_;
    test::TempDir temp_;
    std::string dir_;
};

TEST_P(Layers, MatchTheIndependentImplementation) {
    const Insides found = run("scalar", golden_.is_quantised);
    expect_hidden(found, "scalar");
    expect_experts(found, "scalar");
    expect_weights(found, "scalar");
}

TEST_P(Layers, EveryInstructionSetMatches) {
    for (const std::string& isa : fast_instruction_sets()) {
        const Insides found = run(isa, golden_.is_quantised);
        if (rounds_to_bf16(isa)) {
            expect_near(found, isa);
            continue;
        }
        expect_hidden(found, isa);
        expect_experts(found, isa);
        expect_weights(found, isa);
    }
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         Layers,
                         testing::Values("deepseek_v3_tiny",
                                         "deepseek_v3_plain",
                                         "deepseek_v3_uneven",
                                         "deepseek_v3_groups",
                                         "deepseek_v3_dense2",
                                         "deepseek_v3_odd",
                                         "deepseek_v3_long",
                                         "deepseek_v3_tiny_w8a8",
                                         "deepseek_v3_groups_w8a8",
                                         "deepseek_v3_uneven_w8a8",
                                         "deepseek_v3_dense2_w8a8",
                                         "qwen3_distill",
                                         "qwen3_tied",
                                         "qwen3_plain",
                                         "qwen3_far"),
                         [](const auto& test_case) { return test_case.param; });

}  // namespace
}  // namespace turnpike::engine
