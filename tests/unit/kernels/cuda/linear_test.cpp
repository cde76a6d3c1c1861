// Linears of the CUDA backend against the reference: every format, odd shapes, and a row's bits
// against the number of rows.
#include <span>

#include "tests/unit/kernels/cuda/cuda_fixture.h"

namespace turnpike::kernels {
namespace {

struct LinearCase {
    std::int64_t rows, n, k;
};

// Decode rows of R1's shapes, and shapes that fill no tile, no scale block and no warp.
constexpr LinearCase kCases[] = {{1, 1536, 7168}, {8, 576, 7168},  {9, 7168, 2048},
                                 {33, 256, 7168}, {130, 500, 300}, {3, 7, 19},
                                 {5, 17, 129},    {64, 128, 128},  {1, 7168, 16384}};
// Prompts: whole tiles of 128 by 256, a cluster's second tile empty, full or cut, odd columns.
constexpr LinearCase kPromptCases[] = {{256, 256, 128}, {512, 768, 1280}, {192, 257, 300},
                                       {300, 576, 640}, {391, 65, 513},   {900, 1536, 384}};

class CudaLinear : public CudaTest {
  protected:
    void expect_match(DType dtype, double tolerance, std::span<const LinearCase> cases = kCases) {
        for (const LinearCase& shape : cases) {
            const StoredWeight stored(dtype, shape.n, shape.k, next_seed());
            const auto weight = *reference_->prepare(stored.source);
            const auto weight_cuda = *cuda_->prepare(stored.source);
            Matrix x(shape.rows, shape.k, next_seed());
            DeviceMatrix on_device(*cuda_, x);
            for (const bool is_split : {false, true}) {
                Matrix expected(shape.rows, shape.n);
                DeviceMatrix out(*cuda_, shape.rows, shape.n);
                if (is_split) {
                    reference_->linear_split_k(x.view(), *weight, expected.view());
                    cuda_->linear_split_k(on_device.view(), *weight_cuda, out.view());
                } else {
                    reference_->linear(x.view(), *weight, expected.view());
                    cuda_->linear(on_device.view(), *weight_cuda, out.view());
                }
                EXPECT_LT(relative_error(out.read(), expected.values), tolerance)
                    << shape.rows << "x" << shape.n << "x" << shape.k << " " << note();
            }
        }
    }
};

TEST_F(CudaLinear, Fp8WeightsMatch) {
    expect_match(DType::kF8E4M3, kSplitBf16);
}

TEST_F(CudaLinear, Bf16WeightsMatch) {
    expect_match(DType::kBf16, kSplitBf16);
}

TEST_F(CudaLinear, F32WeightsMatch) {
    expect_match(DType::kF32, 10 * kF32Order);
}

// The tensor cores sum FP8 products with fewer bits than f32.
constexpr double kTensorCoreSums = 1e-3;

TEST_F(CudaLinear, QuantisedRowsMatch) {
    use(Numerics::kW8A8Block);
    expect_match(DType::kF8E4M3, kTensorCoreSums);
}

TEST_F(CudaLinear, QuantisedPromptsMatch) {
    use(Numerics::kW8A8Block);
    expect_match(DType::kF8E4M3, kTensorCoreSums, kPromptCases);
    use(Numerics::kW8A8Block, /*is_deterministic=*/true);
    expect_match(DType::kF8E4M3, kTensorCoreSums, kPromptCases);
}

TEST_F(CudaLinear, ARowsBitsDoNotDependOnOtherRows) {
    for (const Numerics numerics : {Numerics::kW8A16, Numerics::kW8A8Block}) {
        use(numerics, /*is_deterministic=*/true);
        const StoredWeight stored(DType::kF8E4M3, 300, 2048, next_seed());
        const auto weight = *cuda_->prepare(stored.source);
        Matrix x(250, 2048, next_seed());
        DeviceMatrix all(*cuda_, x);
        DeviceMatrix out(*cuda_, 250, 300);
        cuda_->linear(all.view(), *weight, out.view());
        const std::vector<float> whole = out.read();
        for (const auto& [first, count] :
             {std::pair{0, 1}, {7, 12}, {64, 40}, {249, 1}, {20, 200}}) {
            DeviceMatrix part(*cuda_, count, 300);
            cuda_->linear(all.view().row_range(first, count), *weight, part.view());
            const std::vector<float> got = part.read();
            for (std::size_t i = 0; i < got.size(); ++i)
                ASSERT_EQ(got[i], whole[static_cast<std::size_t>(first) * 300 + i])
                    << first << " " << i;
        }
    }
}

TEST_F(CudaLinear, NanCodesAndScalesAreRefused) {
    StoredWeight stored(DType::kF8E4M3, 16, 128, next_seed());
    stored.bytes[77] = std::byte{0xFF};
    auto refused = cuda_->prepare(stored.source);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
    stored.bytes[77] = std::byte{0};
    stored.scales[0] = std::numeric_limits<float>::infinity();
    EXPECT_FALSE(cuda_->prepare(stored.source).has_value());
}

}  // namespace
}  // namespace turnpike::kernels
