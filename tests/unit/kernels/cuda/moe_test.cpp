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

// The same weights on both backends.
struct Experts {
    std::vector<MlpWeights> expected;
    std::vector<MlpWeights> got;
};

class CudaMoe : public CudaTest {
  protected:
    const PreparedWeight* keep(Backend& backend, const WeightSource& source) {
        return kept_.emplace_back(*backend.prepare(source)).get();
    }

    Experts make_experts(const MoeCase& moe, std::int64_t count) {
        Experts experts;
        for (std::int64_t e = 0; e < count; ++e) {
            const StoredWeight gate(DType::kF8E4M3, moe.intermediate, moe.hidden, next_seed());
            const StoredWeight up(DType::kF8E4M3, moe.intermediate, moe.hidden, next_seed());
            const StoredWeight down(DType::kF8E4M3, moe.hidden, moe.intermediate, next_seed());
            const auto on = [&](Backend& backend) {
                return MlpWeights{keep(backend, gate.source), keep(backend, up.source),
                                  keep(backend, down.source)};
            };
            experts.expected.push_back(on(*reference_));
            experts.got.push_back(on(*cuda_));
        }
        return experts;
    }

    void expect_experts_match(double tolerance) {
        for (const MoeCase& moe : kCases) {
            const auto [expected_experts, experts] = make_experts(moe, moe.router.num_experts);
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

    // accumulator += the whole layer, op by op on the reference.
    void run_reference(const MoeBlock& block, MatrixView x, MatrixView accumulator) {
        Matrix logits(x.rows, block.shape.num_experts);
        reference_->linear(x, *block.router, logits.view());
        const Routing routing = reference_->route(logits.view(), *block.bias, block.shape);
        Matrix out(x.rows * block.shape.num_chosen, x.cols);
        reference_->run_experts(x, routing, block.experts, out.view());
        const std::int64_t width = block.shared.gate->rows();
        Matrix gate(x.rows, width);
        Matrix up(x.rows, width);
        Matrix shared(x.rows, x.cols);
        reference_->linear(x, *block.shared.gate, gate.view());
        reference_->linear(x, *block.shared.up, up.view());
        reference_->silu_mul(gate.view(), up.view(), gate.view());
        reference_->linear(gate.view(), *block.shared.down, shared.view());
        reference_->combine_experts(out.view(), routing, shared.view(), accumulator);
    }

    // Where two experts are within rounding of each other a row may choose the other.
    void expect_rows_match(const std::vector<float>& got,
                           const Matrix& expected,
                           double tolerance) const {
        std::int64_t num_apart = 0;
        for (std::int64_t r = 0; r < expected.rows; ++r) {
            const auto row = [&](const std::vector<float>& values) {
                return std::vector<float>(values.begin() + r * expected.cols,
                                          values.begin() + (r + 1) * expected.cols);
            };
            if (relative_error(row(got), row(expected.values)) >= tolerance) ++num_apart;
        }
        EXPECT_LE(num_apart, expected.rows / 200) << note();
    }

    void expect_layers_match(double tolerance) {
        for (const MoeCase& moe : kCases) {
            const auto [expected_experts, experts] = make_experts(moe, moe.router.num_experts);
            const auto [expected_shared, shared] = make_experts(moe, 1);
            const StoredWeight router(DType::kBf16, moe.router.num_experts, moe.hidden,
                                      next_seed());
            Matrix bias(1, moe.router.num_experts, next_seed());
            Matrix x(moe.rows, moe.hidden, next_seed());
            Matrix sum(moe.rows, moe.hidden, next_seed());
            DeviceMatrix on_device(*cuda_, x);
            DeviceMatrix sum_device(*cuda_, sum);
            run_reference({keep(*reference_, router.source), keep(*reference_, f32_source(bias)),
                           moe.router, expected_experts, expected_shared.front()},
                          x.view(), sum.view());
            const bool was_run =
                cuda_->run_moe({keep(*cuda_, router.source), keep(*cuda_, f32_source(bias)),
                                moe.router, experts, shared.front()},
                               on_device.view(), sum_device.view());
            ASSERT_TRUE(was_run);
            expect_rows_match(sum_device.read(), sum, tolerance);
        }
    }

  private:
    std::vector<std::unique_ptr<PreparedWeight>> kept_;
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

TEST_F(CudaMoe, WholeLayersMatch) {
    expect_layers_match(2 * kSplitBf16);
    // By the row: some codes of 448 differ, as below.
    use(Numerics::kW8A8Block);
    expect_layers_match(3e-2);
}

// Between the two projections the sums are quantised again: a difference of one code of 448 here
// and there.
TEST_F(CudaMoe, QuantisedExpertsMatch) {
    use(Numerics::kW8A8Block);
    expect_experts_match(5e-3);
}

}  // namespace
}  // namespace turnpike::kernels
