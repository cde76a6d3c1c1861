// Attention of the CUDA backend against the reference: both MLA forms, grouped queries, shuffled
// blocks, and a row's bits against the rows beside it.
#include <algorithm>
#include <numeric>

#include "tests/unit/kernels/cuda/cuda_fixture.h"

namespace turnpike::kernels {
namespace {

constexpr std::int64_t kPositions = 1300;

std::vector<std::int32_t> shuffled_table(std::uint64_t seed) {
    std::vector<std::int32_t> table((kPositions + kCacheBlockTokens - 1) / kCacheBlockTokens);
    std::iota(table.begin(), table.end(), 3);
    std::shuffle(table.begin(), table.end(), std::mt19937_64(seed));
    return table;
}

// Keys, values and queries in BF16 among many positions.
constexpr double kAttentionTolerance = 3 * kBf16Rounding;

class CudaAttention : public CudaTest {
  protected:
    // Rows [first, first + count) of each form on both backends.
    void expect_mla_match(const MlaShape& shape, DType dtype) {
        const StoredWeight stored(dtype, shape.num_heads * (shape.nope_dim + shape.v_dim),
                                  shape.latent_dim, next_seed());
        Matrix rows(kPositions, shape.cache_dim(), next_seed());
        const auto table = shuffled_table(next_seed());
        const AttentionSlice all{0, kPositions, 0, table};
        const auto kv_up = *reference_->prepare_kv_up(stored.source, shape);
        const auto kv_up_cuda = *cuda_->prepare_kv_up(stored.source, shape);
        const auto cache = reference_->make_kv_cache({2, 40, shape.cache_dim()});
        const auto cache_cuda = cuda_->make_kv_cache({2, 40, shape.cache_dim()});
        DeviceMatrix rows_device(*cuda_, rows);
        reference_->write_kv(rows.view(), {&all, 1}, 1, *cache);
        cuda_->write_kv(rows_device.view(), {&all, 1}, 1, *cache_cuda);
        for (const auto& [first, count] : {std::pair{0, 3}, {62, 4}, {511, 3}, {1290, 2}}) {
            Matrix queries(count, shape.num_heads * shape.query_dim(), next_seed());
            for (float& value : queries.values) value *= 3.0F;
            DeviceMatrix queries_device(*cuda_, queries);
            const AttentionSlice slice{0, count, first, table};
            Matrix expected(count, shape.num_heads * shape.v_dim);
            reference_->attend_absorbed(queries.view(), {&slice, 1}, *kv_up, shape, 1, *cache,
                                        expected.view());
            for (const bool is_naive : {true, false}) {
                DeviceMatrix out(*cuda_, count, expected.cols);
                if (is_naive)
                    cuda_->attend_naive(queries_device.view(), {&slice, 1}, *kv_up_cuda, shape, 1,
                                        *cache_cuda, out.view());
                else
                    cuda_->attend_absorbed(queries_device.view(), {&slice, 1}, *kv_up_cuda, shape,
                                           1, *cache_cuda, out.view());
                EXPECT_LT(relative_error(out.read(), expected.values), kAttentionTolerance)
                    << shape.num_heads << " heads, " << first << " " << note();
            }
        }
    }
};

MlaShape mla_shape(
    std::int64_t heads, std::int64_t nope, std::int64_t rope, std::int64_t v, std::int64_t latent) {
    MlaShape shape;
    shape.num_heads = heads;
    shape.nope_dim = nope;
    shape.rope_dim = rope;
    shape.v_dim = v;
    shape.latent_dim = latent;
    shape.softmax_scale = 0.5F / std::sqrt(static_cast<float>(nope + rope));
    return shape;
}

TEST_F(CudaAttention, LatentAttentionMatchesAtR1sShape) {
    expect_mla_match(mla_shape(16, 128, 64, 128, 512), DType::kF8E4M3);
}

TEST_F(CudaAttention, LatentAttentionMatchesWithManyHeads) {
    expect_mla_match(mla_shape(128, 128, 64, 128, 512), DType::kF8E4M3);
}

TEST_F(CudaAttention, LatentAttentionMatchesAtOtherShapes) {
    expect_mla_match(mla_shape(8, 32, 32, 64, 128), DType::kF8E4M3);
    expect_mla_match(mla_shape(3, 10, 6, 7, 19), DType::kBf16);
}

TEST_F(CudaAttention, GroupedQueriesMatch) {
    for (const GqaShape& shape : {GqaShape{32, 8, 128, 0.088F}, GqaShape{6, 2, 10, 0.5F}}) {
        Matrix rows(kPositions, shape.cache_dim(), next_seed());
        const auto table = shuffled_table(next_seed());
        const AttentionSlice all{0, kPositions, 0, table};
        const auto cache = reference_->make_kv_cache({1, 40, shape.cache_dim()});
        const auto cache_cuda = cuda_->make_kv_cache({1, 40, shape.cache_dim()});
        DeviceMatrix rows_device(*cuda_, rows);
        reference_->write_kv(rows.view(), {&all, 1}, 0, *cache);
        cuda_->write_kv(rows_device.view(), {&all, 1}, 0, *cache_cuda);
        // A row of no slice between two slices stays as it is.
        const std::vector<AttentionSlice> slices = {{0, 2, 700, table}, {3, 5, 1200, table}};
        Matrix queries(8, shape.query_width(), next_seed());
        DeviceMatrix queries_device(*cuda_, queries);
        Matrix expected(8, shape.query_width());
        DeviceMatrix out(*cuda_, expected);
        reference_->attend_grouped(queries.view(), slices, shape, 0, *cache, expected.view());
        cuda_->attend_grouped(queries_device.view(), slices, shape, 0, *cache_cuda, out.view());
        EXPECT_LT(relative_error(out.read(), expected.values), kAttentionTolerance) << note();
    }
}

TEST_F(CudaAttention, ARowsBitsDoNotDependOnOtherRows) {
    use(Numerics::kW8A16, /*is_deterministic=*/true);
    const MlaShape shape = mla_shape(16, 128, 64, 128, 512);
    const StoredWeight stored(DType::kF8E4M3, 16 * 256, 512, next_seed());
    const auto kv_up = *cuda_->prepare_kv_up(stored.source, shape);
    const auto cache = cuda_->make_kv_cache({1, 40, shape.cache_dim()});
    const auto table = shuffled_table(next_seed());
    Matrix rows(kPositions, shape.cache_dim(), next_seed());
    DeviceMatrix rows_device(*cuda_, rows);
    const AttentionSlice all{0, kPositions, 0, table};
    cuda_->write_kv(rows_device.view(), {&all, 1}, 0, *cache);
    Matrix queries(40, 16 * shape.query_dim(), next_seed());
    DeviceMatrix queries_device(*cuda_, queries);
    DeviceMatrix out(*cuda_, 40, 16 * 128);
    const AttentionSlice whole{0, 40, 1250, table};
    cuda_->attend_absorbed(queries_device.view(), {&whole, 1}, *kv_up, shape, 0, *cache,
                           out.view());
    const std::vector<float> expected = out.read();
    const std::int64_t index = 17;
    DeviceMatrix one(*cuda_, 1, 16 * 128);
    const AttentionSlice alone{0, 1, 1250 + index, table};
    cuda_->attend_absorbed(queries_device.view().row_range(index, 1), {&alone, 1}, *kv_up, shape, 0,
                           *cache, one.view());
    const std::vector<float> got = one.read();
    for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], expected[static_cast<std::size_t>(index) * got.size() + i]);
}

}  // namespace
}  // namespace turnpike::kernels
