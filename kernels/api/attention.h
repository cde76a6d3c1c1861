// Attention over a paged cache: shapes, slices and the cache. One cache row per token and layer.
// Multi-head latent attention (MLA): the normalised latent [latent_dim], then the rotated key
// [rope_dim]. Grouped-query attention (GQA): the rotated keys [num_kv_heads, head_dim], then the
// values [num_kv_heads, head_dim].
#pragma once

#include <cstdint>
#include <span>

#include "config/base/check.h"

namespace turnpike::kernels {

// Tokens in one cache block, and the absolute multiples at which a softmax over keys is cut into
// partial sums. The partial sums are merged in ascending order: part of the numbers' definition.
inline constexpr std::int32_t kCacheBlockTokens = 64;

struct MlaShape {
    std::int64_t num_heads = 0;
    std::int64_t nope_dim = 0;
    std::int64_t rope_dim = 0;
    std::int64_t v_dim = 0;
    std::int64_t latent_dim = 0;
    float softmax_scale = 1.0F;

    std::int64_t query_dim() const { return nope_dim + rope_dim; }

    std::int64_t cache_dim() const { return latent_dim + rope_dim; }
};

// Query head h attends with key/value head h / (num_heads / num_kv_heads).
struct GqaShape {
    std::int64_t num_heads = 0;
    std::int64_t num_kv_heads = 0;  // divides num_heads
    std::int64_t head_dim = 0;
    float softmax_scale = 1.0F;

    std::int64_t query_width() const { return num_heads * head_dim; }

    std::int64_t kv_width() const { return num_kv_heads * head_dim; }

    std::int64_t cache_dim() const { return 2 * kv_width(); }
};

// Consecutive rows of one sequence among the rows of a step. Row i is at first_position + i and
// attends to positions 0 .. first_position + i, all of them written before.
struct AttentionSlice {
    std::int64_t first_row = 0;
    std::int64_t num_rows = 0;
    std::int64_t first_position = 0;
    std::span<const std::int32_t> block_table;  // host memory; block of positions 64i .. 64i + 63
};

// Aborts unless every slice lies within num_rows rows and its blocks cover its positions.
inline void check_slices(std::span<const AttentionSlice> slices, std::int64_t num_rows) {
    for (const AttentionSlice& slice : slices) {
        const std::int64_t last = slice.first_position + slice.num_rows - 1;
        CHECK(slice.num_rows > 0 && slice.first_row >= 0 && slice.first_position >= 0);
        CHECK(slice.first_row + slice.num_rows <= num_rows);
        CHECK(last / kCacheBlockTokens < static_cast<std::int64_t>(slice.block_table.size()));
    }
}

struct KvCacheShape {
    std::int64_t num_layers = 0;
    std::int64_t num_blocks = 0;
    std::int64_t row_dim = 0;  // cache_dim() of the shape
};

// The paged cache of one pool, in a backend's own layout and precision.
class KvCache {
  public:
    virtual ~KvCache() = default;
    virtual const KvCacheShape& shape() const = 0;
};

}  // namespace turnpike::kernels
