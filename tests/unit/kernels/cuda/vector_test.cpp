// Row-wise ops of the CUDA backend against the reference.
#include "tests/unit/kernels/cuda/cuda_fixture.h"

namespace turnpike::kernels {
namespace {

using CudaVector = CudaTest;

constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {
    {1, 7168}, {2, 9001}, {3, 100}, {65, 1536}, {2, 1}};

TEST_F(CudaVector, NormsSumsAndSwiGluMatch) {
    for (const auto& [rows, cols] : kShapes) {
        Matrix x(rows, cols, next_seed());
        Matrix other(rows, cols, next_seed());
        Matrix weight(1, cols, next_seed());
        const auto w = *reference_->prepare(f32_source(weight));
        const auto w_cuda = *cuda_->prepare(f32_source(weight));
        Matrix expected(rows, cols);
        DeviceMatrix on_device(*cuda_, x);
        DeviceMatrix other_device(*cuda_, other);
        DeviceMatrix out(*cuda_, rows, cols);
        reference_->rms_norm(x.view(), *w, 1e-6F, expected.view());
        cuda_->rms_norm(on_device.view(), *w_cuda, 1e-6F, out.view());
        EXPECT_LT(relative_error(out.read(), expected.values), kF32Order) << note();
        reference_->silu_mul(x.view(), other.view(), expected.view());
        cuda_->silu_mul(on_device.view(), other_device.view(), out.view());
        EXPECT_LT(relative_error(out.read(), expected.values), kF32Order) << note();
        reference_->add(x.view(), expected.view());
        cuda_->add(on_device.view(), out.view());
        EXPECT_LT(relative_error(out.read(), expected.values), kF32Order) << note();
        Matrix normed(rows, cols);
        DeviceMatrix normed_device(*cuda_, rows, cols);
        reference_->add_norm(x.view(), expected.view(), *w, 1e-6F, normed.view());
        cuda_->add_norm(on_device.view(), out.view(), *w_cuda, 1e-6F, normed_device.view());
        EXPECT_LT(relative_error(out.read(), expected.values), kF32Order) << note();
        EXPECT_LT(relative_error(normed_device.read(), normed.values), kF32Order) << note();
    }
}

TEST_F(CudaVector, HeadsHaveTheirNormEachByItself) {
    for (const auto& [num_heads, width] : {std::pair{32, 128}, {5, 16}, {9, 100}}) {
        // Of rows that are wider than their heads.
        Matrix x(7, num_heads * width + 40, next_seed());
        Matrix weight(1, width, next_seed());
        const auto w = *reference_->prepare(f32_source(weight));
        const auto w_cuda = *cuda_->prepare(f32_source(weight));
        DeviceMatrix on_device(*cuda_, x);
        reference_->rms_norm_heads(x.view().col_range(0, num_heads * width), num_heads, *w, 1e-6F);
        cuda_->rms_norm_heads(on_device.view().col_range(0, num_heads * width), num_heads, *w_cuda,
                              1e-6F);
        EXPECT_LT(relative_error(on_device.read(), x.values), kF32Order) << note();
    }
}

TEST_F(CudaVector, RowsAreTakenFromTablesOfEveryFormat) {
    for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF8E4M3}) {
        const StoredWeight stored(dtype, 300, 200, next_seed());
        const auto table = *reference_->prepare(stored.source);
        const auto table_cuda = *cuda_->prepare(stored.source);
        const std::vector<std::int32_t> tokens = {299, 0, 128, 7, 7};
        Matrix expected(5, 200);
        DeviceMatrix out(*cuda_, 5, 200);
        reference_->embed(tokens, *table, expected.view());
        cuda_->embed(tokens, *table_cuda, out.view());
        EXPECT_EQ(out.read(), expected.values) << note();
        const std::vector<std::int64_t> rows = {4, 0, 4};
        Matrix gathered(3, 200);
        DeviceMatrix gathered_cuda(*cuda_, 3, 200);
        reference_->gather_rows(expected.view(), rows, gathered.view());
        cuda_->gather_rows(out.view(), rows, gathered_cuda.view());
        EXPECT_EQ(gathered_cuda.read(), gathered.values);
    }
}

TEST_F(CudaVector, PairsTurnInBothArrangements) {
    const std::vector<double> frequencies = yarn_inverse_frequencies({.dim = 64});
    const std::vector<std::int32_t> positions = {0, 5, 4000, 120000};
    const RopeRows rope = make_rope_rows(frequencies, positions);
    for (const auto pairs : {Backend::RopePairs::kInterleaved, Backend::RopePairs::kHalves}) {
        Matrix x(4, 5 * 192, next_seed());
        DeviceMatrix on_device(*cuda_, x);
        const Backend::RopeColumns columns{5, 192, 128, pairs};
        reference_->rope(x.view(), columns, rope);
        cuda_->rope(on_device.view(), columns, rope);
        EXPECT_LT(relative_error(on_device.read(), x.values), kF32Order) << note();
    }
}

}  // namespace
}  // namespace turnpike::kernels
