// Both forms of MLA of the fast CPU backends against the reference, and each row's bits against
// chunks, batch, block placement and threads.
#include <algorithm>

#include "tests/unit/kernels/cpu/fast_fixture.h"

namespace turnpike::kernels {
namespace {

constexpr std::int64_t kPositions = 1200;  // more than sixteen blocks: segments of several

struct MlaCase {
    DType dtype;
    std::int64_t heads, nope, rope, v, latent;
};

// R1's head, with one group of heads and with more than one; heads of which some part scale blocks,
// as r1-nano's; odd sizes; BF16.
constexpr MlaCase kCases[] = {{DType::kF8E4M3, 5, 128, 64, 128, 512},
                              {DType::kF8E4M3, 70, 128, 64, 128, 128},
                              {DType::kF8E4M3, 8, 32, 32, 64, 128},
                              {DType::kF8E4M3, 3, 10, 6, 7, 19},
                              {DType::kBf16, 3, 40, 16, 72, 200}};

MlaShape shape_of(const MlaCase& mla) {
    MlaShape shape;
    shape.num_heads = mla.heads;
    shape.nope_dim = mla.nope;
    shape.rope_dim = mla.rope;
    shape.v_dim = mla.v;
    shape.latent_dim = mla.latent;
    shape.softmax_scale = 0.5F / std::sqrt(static_cast<float>(mla.nope + mla.rope));
    return shape;
}

// One sequence on one backend: the cache filled with every position.
struct Sequence {
    Sequence(Backend& used, const MlaCase& mla, std::vector<std::int32_t> blocks)
        : backend(used),
          shape(shape_of(mla)),
          table(std::move(blocks)),
          rows(kPositions, shape.cache_dim(), 1),
          queries(kPositions, shape.num_heads * shape.query_dim(), 2) {
        for (float& value : queries.values) value *= 3.0F;
        const StoredWeight stored(mla.dtype, shape.num_heads * (shape.nope_dim + shape.v_dim),
                                  shape.latent_dim, 3);
        kv_up = *backend.prepare_kv_up(stored.source, shape);
        cache = backend.make_kv_cache({2, 40, shape.cache_dim()});
        const AttentionSlice all{0, kPositions, 0, table};
        backend.write_kv(rows.view(), std::span(&all, 1), 1, *cache);
    }

    Matrix attend(bool is_naive, std::int64_t first, std::int64_t count) {
        Matrix out(count, shape.num_heads * shape.v_dim);
        const AttentionSlice slice{0, count, first, table};
        const MatrixView view = queries.view().row_range(first, count);
        if (is_naive) {
            backend.attend_naive(view, std::span(&slice, 1), *kv_up, shape, 1, *cache, out.view());
        } else {
            backend.attend_absorbed(view, std::span(&slice, 1), *kv_up, shape, 1, *cache,
                                    out.view());
        }
        return out;
    }

    Backend& backend;
    MlaShape shape;
    std::vector<std::int32_t> table;
    Matrix rows;
    Matrix queries;
    std::unique_ptr<PreparedWeight> kv_up;
    std::unique_ptr<KvCache> cache;
};

std::vector<std::int32_t> ascending() {
    std::vector<std::int32_t> table;
    for (std::int32_t i = 0; i < 19; ++i) table.push_back(i);
    return table;
}

// Values of zero mean average out over the positions, the roundings of keys, values and weights to
// BF16 do not.
double attention_tolerance(CpuIsa isa) {
    return isa == CpuIsa::kAvx512Bf16 ? 5 * kBf16Tolerance : 10 * kF32Tolerance;
}

using FastAttention = FastBackendTest;

TEST_P(FastAttention, MatchesTheReference) {
    for (const MlaCase& mla : kCases) {
        Sequence expected(*reference_, mla, ascending());
        Sequence got(*fast_, mla, ascending());
        for (const bool is_naive : {true, false}) {
            for (const auto& [first, count] :
                 {std::pair{0, 3}, std::pair{62, 4}, std::pair{1150, 2}}) {
                // The reference's two forms agree; this one is quicker.
                const double error = relative_error(got.attend(is_naive, first, count).values,
                                                    expected.attend(false, first, count).values);
                EXPECT_LT(error, attention_tolerance(GetParam()))
                    << mla.heads << " " << is_naive << " " << first;
            }
        }
    }
}

TEST_P(FastAttention, BitsDoNotDependOnChunksPlacementOrThreads) {
    const auto two = make(2);
    std::vector<std::int32_t> scattered = ascending();
    std::reverse(scattered.begin(), scattered.end());
    for (const MlaCase& mla : kCases) {
        Sequence plain(*fast_, mla, ascending());
        Sequence moved(*two, mla, scattered);
        for (const bool is_naive : {true, false}) {
            const std::int64_t start = 1100;
            const Matrix whole = plain.attend(is_naive, start, 70);
            std::int64_t first = 0;
            for (const std::int64_t count : {1, 17, 33, 19}) {
                const Matrix part = moved.attend(is_naive, start + first, count);
                for (std::int64_t r = 0; r < count; ++r) {
                    for (std::int64_t c = 0; c < part.cols; ++c)
                        ASSERT_EQ(part.at(r, c), whole.at(first + r, c)) << first + r;
                }
                first += count;
            }
        }
    }
}

TEST_P(FastAttention, LargeScoresStayFinite) {
    Sequence sequence(*fast_, kCases[0], ascending());
    for (float& value : sequence.queries.values) value *= 1000.0F;
    for (const bool is_naive : {true, false}) {
        for (const float value : sequence.attend(is_naive, 100, 20).values)
            ASSERT_TRUE(std::isfinite(value));
    }
}

struct GqaCase {
    std::int64_t heads, kv_heads, head_dim;
};

TEST_P(FastAttention, GroupedMatchesTheReferenceAndKeepsItsBits) {
    const auto two = make(2);
    for (const GqaCase& gqa : {GqaCase{8, 2, 128}, GqaCase{6, 3, 10}}) {
        const GqaShape shape{gqa.heads, gqa.kv_heads, gqa.head_dim, 0.2F};
        Matrix rows(300, shape.cache_dim(), 4);
        Matrix queries(300, shape.query_width(), 5);
        const auto attend = [&](Backend& backend, std::int64_t first, std::int64_t count) {
            const std::vector<std::int32_t> table{3, 1, 4, 0, 2};
            const auto cache = backend.make_kv_cache({1, 5, shape.cache_dim()});
            const AttentionSlice all{0, 300, 0, table};
            backend.write_kv(rows.view(), std::span(&all, 1), 0, *cache);
            Matrix out(count, shape.query_width());
            const AttentionSlice slice{0, count, first, table};
            backend.attend_grouped(queries.view().row_range(first, count), std::span(&slice, 1),
                                   shape, 0, *cache, out.view());
            return out;
        };
        const Matrix got = attend(*fast_, 0, 300);
        EXPECT_LT(relative_error(got.values, attend(*reference_, 0, 300).values),
                  attention_tolerance(GetParam()));
        const Matrix alone = attend(*two, 270, 1);
        for (std::int64_t c = 0; c < alone.cols; ++c) ASSERT_EQ(alone.at(0, c), got.at(270, c));
    }
}

INSTANTIATE_TEST_SUITE_P(Cpu, FastAttention, every_fast_isa(), isa_name);

}  // namespace
}  // namespace turnpike::kernels
