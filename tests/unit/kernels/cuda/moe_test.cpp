// Router, experts and their sum on the CUDA backend against the reference.
#include "tests/unit/kernels/cuda/cuda_fixture.h"

namespace turnpike::kernels {
namespace {

struct MoeCase {
    RouterShape router;
    std::int64_t rows, hidden, intermediate;
};

// R1's router, the embedded model's, one without groups, odd sizes, and rows enough for the kernels
// of prompts: odd shapes, and whole tiles.
const MoeCase kCases[] = {
    {{256, 8, 4, 8, true, 2.5F}, 3, 512, 256},  {{16, 4, 2, 4, true, 2.5F}, 40, 256, 64},
    {{6, 1, 1, 2, false, 1.0F}, 5, 100, 70},    {{256, 8, 4, 8, true, 2.5F}, 150, 256, 128},
    {{6, 1, 1, 2, false, 1.0F}, 400, 260, 200}, {{16, 4, 2, 4, true, 2.5F}, 777, 384, 256}};

class CudaMoe : public CudaTest {
  protected:
    void expect_experts_match(double tolerance) {
        for (const MoeCase& moe : kCases) {
            const auto num_experts = static_cast<std::size_t>(moe.router.num_experts);
            std::vector<std::unique_ptr<PreparedWeight>> kept;
            std::vector<MlpWeights> expected_experts;
            std::vector<MlpWeights> experts;
            for (std::size_t e = 0; e < num_experts; ++e) {
                MlpWeights* const views[] = {&expected_experts.emplace_back(),
                                             &experts.emplace_back()};
                const StoredWeight gate(DType::kF8E4M3, moe.intermediate, moe.hidden, next_seed());
                const StoredWeight up(DType::kF8E4M3, moe.intermediate, moe.hidden, next_seed());
                const StoredWeight down(DType::kF8E4M3, moe.hidden, moe.intermediate, next_seed());
                Backend* const backends[] = {reference_.get(), cuda_.get()};
                for (int b = 0; b < 2; ++b) {
                    views[b]->gate = kept.emplace_back(*backends[b]->prepare(gate.source)).get();
                    views[b]->up = kept.emplace_back(*backends[b]->prepare(up.source)).get();
                    views[b]->down = kept.emplace_back(*backends[b]->prepare(down.source)).get();
                }
            }
            Matrix logits(moe.rows, moe.router.num_experts, next_seed());
            Matrix bias(1, moe.router.num_experts, next_seed());
            const auto prepared = *reference_->prepare(f32_source(bias));
            const Routing routing = reference_->route(logits.view(), *prepared, moe.router);
            Matrix x(moe.rows, moe.hidden, next_seed());
            DeviceMatrix on_device(*cuda_, x);
            Matrix expected(moe.rows * moe.router.num_chosen, moe.hidden);
            DeviceMatrix out(*cuda_, expected.rows, moe.hidden);
            reference_->run_experts(x.view(), routing, expected_experts, expected.view());
            cuda_->run_experts(on_device.view(), routing, experts, out.view());
            EXPECT_LT(relative_error(out.read(), expected.values), tolerance) << note();

            Matrix shared(moe.rows, moe.hidden, next_seed());
            Matrix sum(moe.rows, moe.hidden, next_seed());
            DeviceMatrix shared_device(*cuda_, shared);
            DeviceMatrix sum_device(*cuda_, sum);
            DeviceMatrix expected_device(*cuda_, expected);
            reference_->combine_experts(expected.view(), routing, shared.view(), sum.view());
            cuda_->combine_experts(expected_device.view(), routing, shared_device.view(),
                                   sum_device.view());
            EXPECT_LT(relative_error(sum_device.read(), sum.values), kF32Order) << note();
        }
    }
};

TEST_F(CudaMoe, TheRouterChoosesTheSameExperts) {
    for (const MoeCase& moe : kCases) {
        Matrix logits(200, moe.router.num_experts, next_seed());
        // Ties go to the lower expert and group.
        for (std::int64_t e = 0; e < moe.router.num_experts; ++e) logits.at(0, e) = 0.25F;
        Matrix bias(1, moe.router.num_experts, next_seed());
        for (float& value : bias.values) value *= 0.1F;
        for (const bool has_bias : {true, false}) {
            if (!has_bias) std::fill(bias.values.begin(), bias.values.end(), 0.0F);
            const auto expected_bias = *reference_->prepare(f32_source(bias));
            const auto cuda_bias = *cuda_->prepare(f32_source(bias));
            DeviceMatrix on_device(*cuda_, logits);
            const Routing expected = reference_->route(logits.view(), *expected_bias, moe.router);
            const Routing got = cuda_->route(on_device.view(), *cuda_bias, moe.router);
            EXPECT_EQ(got.experts, expected.experts) << note();
            EXPECT_LT(relative_error(got.weights, expected.weights), kF32Order) << note();
        }
    }
}

TEST_F(CudaMoe, ExpertsMatch) {
    expect_experts_match(2 * kSplitBf16);
}

// Between the two projections the sums are quantised again: a difference of one code of 448 here
// and there.
TEST_F(CudaMoe, QuantisedExpertsMatch) {
    use(Numerics::kW8A8Block);
    expect_experts_match(5e-3);
}

}  // namespace
}  // namespace turnpike::kernels
