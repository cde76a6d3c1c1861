// The router against hand-worked choices, the experts against double precision.
#include "kernels/cpu/reference/moe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "kernels/cpu/reference/linear.h"
#include "tests/unit/kernels/matrix.h"

namespace turnpike::kernels::reference {
namespace {

RouterShape shape_of(std::int64_t experts,
                     std::int64_t groups,
                     std::int64_t kept,
                     std::int64_t chosen) {
    RouterShape shape;
    shape.num_experts = experts;
    shape.num_groups = groups;
    shape.num_kept_groups = kept;
    shape.num_chosen = chosen;
    shape.scale = 2.5F;
    return shape;
}

float sigmoid(float x) {
    return 1.0F / (1.0F + std::exp(-x));
}

using Choice = std::vector<std::int32_t>;

TEST(Route, KeepsTheGroupsWithTheBestPairs) {
    // Group 0 has the best single expert, groups 1 and 2 the better pairs.
    Matrix logits(1, 6);
    logits.values = {3.0F, -9.0F, 1.0F, 1.0F, 2.0F, 0.5F};
    const std::vector<float> bias(6, 0.0F);
    const Routing routing = route(logits.view(), bias.data(), shape_of(6, 3, 2, 2));
    EXPECT_EQ(routing.experts, (Choice{2, 4}));  // expert 3 ties with 2 and comes later
    const float sum = sigmoid(1.0F) + sigmoid(2.0F);
    EXPECT_NEAR(routing.weights[0], sigmoid(1.0F) / sum * 2.5F, 1e-6);
    EXPECT_NEAR(routing.weights[1], sigmoid(2.0F) / sum * 2.5F, 1e-6);
}

TEST(Route, BiasCountsForTheSelectionOnly) {
    Matrix logits(1, 4);
    logits.values = {2.0F, 1.0F, 0.0F, -1.0F};
    const std::vector<float> bias{-1.0F, 0.0F, 0.0F, 1.0F};
    const Routing routing = route(logits.view(), bias.data(), shape_of(4, 1, 1, 2));
    EXPECT_EQ(routing.experts, (Choice{1, 3}));
    const float sum = sigmoid(1.0F) + sigmoid(-1.0F);
    EXPECT_NEAR(routing.weights[0], sigmoid(1.0F) / sum * 2.5F, 1e-6);
    EXPECT_NEAR(routing.weights[1], sigmoid(-1.0F) / sum * 2.5F, 1e-6);
}

// A mask of 0 instead of -inf would choose an expert of an excluded group here.
TEST(Route, NegativeScoresWithinTheGroupBeatExcludedGroups) {
    Matrix logits(1, 4);
    logits.values = {0.0F, 0.0F, 0.0F, 0.0F};
    const std::vector<float> bias{-0.6F, -0.7F, -0.9F, -0.9F};
    const Routing routing = route(logits.view(), bias.data(), shape_of(4, 2, 1, 2));
    EXPECT_EQ(routing.experts, (Choice{0, 1}));
}

TEST(Route, TiesGoToTheLowestGroupAndExpert) {
    Matrix logits(1, 8);
    const std::vector<float> bias(8, 0.0F);
    const Routing routing = route(logits.view(), bias.data(), shape_of(8, 4, 2, 3));
    EXPECT_EQ(routing.experts, (Choice{0, 1, 2}));
}

TEST(Route, WithoutNormalisingTheScoresAreTheWeights) {
    Matrix logits(1, 4);
    logits.values = {0.5F, 1.5F, -2.0F, 0.0F};
    const std::vector<float> bias(4, 0.0F);
    RouterShape shape = shape_of(4, 2, 2, 2);
    shape.is_normalised = false;
    const Routing routing = route(logits.view(), bias.data(), shape);
    EXPECT_EQ(routing.experts, (Choice{0, 1}));
    EXPECT_NEAR(routing.weights[1], sigmoid(1.5F) * 2.5F, 1e-6);
}

// Four experts of hidden 24, width 40.
struct Experts {
    Experts() {
        for (std::uint64_t e = 0; e < 4; ++e) {
            for (std::uint64_t part = 0; part < 3; ++part) {
                const std::int64_t rows = part == 2 ? 24 : 40;
                const std::int64_t cols = part == 2 ? 40 : 24;
                const Matrix values(rows, cols, 100 + e * 3 + part);
                weights.push_back(std::make_unique<DenseWeight>(rows, cols, values.values));
            }
            views.push_back(
                {weights[e * 3].get(), weights[e * 3 + 1].get(), weights[e * 3 + 2].get()});
        }
    }

    double exact(std::size_t e, const float* x, std::int64_t out) const {
        double sum = 0.0;
        for (std::int64_t i = 0; i < 40; ++i) {
            double gate = 0.0;
            double up = 0.0;
            for (std::int64_t k = 0; k < 24; ++k) {
                gate += static_cast<double>(weights[e * 3]->row(i)[k]) * x[k];
                up += static_cast<double>(weights[e * 3 + 1]->row(i)[k]) * x[k];
            }
            sum += gate / (1.0 + std::exp(-gate)) * up * weights[e * 3 + 2]->row(out)[i];
        }
        return sum;
    }

    std::vector<std::unique_ptr<DenseWeight>> weights;
    std::vector<MlpWeights> views;
};

TEST(RunExperts, EachSlotIsItsExpertOfItsRow) {
    ThreadPool threads(1);
    const Experts experts;
    Matrix x(3, 24, 50);
    const Routing routing{
        3, 2, {0, 3, 1, 3, 0, 1}, std::vector<float>(6, 1.0F)};  // expert 2 has no row
    Matrix out(6, 24);
    run_experts(threads, x.view(), routing, experts.views, out.view());
    for (std::int64_t slot = 0; slot < 6; ++slot) {
        const auto expert =
            static_cast<std::size_t>(routing.experts[static_cast<std::size_t>(slot)]);
        for (std::int64_t c = 0; c < 24; ++c) {
            EXPECT_NEAR(out.at(slot, c), experts.exact(expert, &x.at(slot / 2, 0), c), 1e-4);
        }
    }
}

TEST(RunExperts, ASlotsBitsDoNotDependOnTheOtherRows) {
    ThreadPool threads(1);
    const Experts experts;
    Matrix x(17, 24, 51);
    Routing routing{17, 1, {}, std::vector<float>(17, 1.0F)};
    for (std::int32_t m = 0; m < 17; ++m) routing.experts.push_back(m % 4);
    Matrix together(17, 24);
    run_experts(threads, x.view(), routing, experts.views, together.view());
    for (std::int64_t m = 0; m < 17; ++m) {
        const Routing single{1, 1, {static_cast<std::int32_t>(m % 4)}, {1.0F}};
        Matrix alone(1, 24);
        run_experts(threads, x.view().row_range(m, 1), single, experts.views, alone.view());
        for (std::int64_t c = 0; c < 24; ++c) ASSERT_EQ(alone.at(0, c), together.at(m, c));
    }
}

TEST(CombineExperts, AddsInAscendingOrderThenShared) {
    Matrix expert_out(4, 3, 60);
    Matrix shared(2, 3, 61);
    Matrix accumulator(2, 3, 62);
    const Matrix before = accumulator;
    const Routing routing{2, 2, {0, 1, 0, 1}, {0.5F, 1.5F, 2.0F, -0.25F}};
    combine_experts(expert_out.view(), routing, shared.view(), accumulator.view());
    for (std::int64_t m = 0; m < 2; ++m) {
        for (std::int64_t c = 0; c < 3; ++c) {
            const auto slot = static_cast<std::size_t>(2 * m);
            float sum = routing.weights[slot] * expert_out.at(2 * m, c);
            sum += routing.weights[slot + 1] * expert_out.at(2 * m + 1, c);
            EXPECT_EQ(accumulator.at(m, c), before.at(m, c) + (sum + shared.at(m, c)));
        }
    }
}

}  // namespace
}  // namespace turnpike::kernels::reference
