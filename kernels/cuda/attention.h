// Attention of the CUDA backend over a paged BF16 cache: [layer][block][64][row_dim]. MLA runs in
// the absorbed form for prompt rows and generated rows alike: the same sums as the naive form, in
// another order, and the latent is never quantised. The definition is
// kernels/cpu/reference/attention.h. Views are f32 in device memory; all launch on `stream`, none
// waits.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/api/attention.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// One row of a slice, in device memory.
struct AttentionRow {
    std::int32_t row = 0;       // of the queries and of out
    std::int32_t position = 0;  // attends to positions 0 .. position
    std::int32_t table = 0;     // where its sequence's block table begins in CacheView::tables
};

// Rows of this size, R1's latent and its rotated part, lie in packed_offset()'s order within their
// block, tiles of 64 rows: as wgmma reads them.
inline constexpr std::int64_t kLatentRowDim = 576;

// One layer of a cache.
struct CacheView {
    void* data = nullptr;  // BF16 [num_blocks][64][row_dim]
    std::int64_t row_dim = 0;
    const std::int32_t* tables = nullptr;  // device memory: the block tables of all slices

    // Where column `col` of a block's row `token` lies in the block, in values.
    TURNPIKE_HOST_DEVICE constexpr std::int64_t offset(std::int64_t token, std::int64_t col) const {
        if (row_dim != kLatentRowDim) return token * row_dim + col;
        return packed_offset(token, col * 2, kLatentRowDim * 2, kCacheBlockTokens) / 2;
    }
};

struct RopeView {
    std::int64_t num_heads = 1;
    std::int64_t head_stride = 0;
    std::int64_t offset = 0;
    bool is_interleaved = true;
    std::int64_t num_pairs = 0;
    const float* cosines = nullptr;  // device memory, [rows, num_pairs]
    const float* sines = nullptr;
};

// Rotates the pairs of each row in every head, in place.
void rope(MatrixView x, const RopeView& view, cudaStream_t stream);

// Writes rows[row] to the cache at each row's position. rows: device memory.
void write_kv(MatrixView x,
              const AttentionRow* rows,
              std::int64_t num_rows,
              const CacheView& cache,
              cudaStream_t stream);

// kv_b_proj for both moves of the absorbed form, BF16, each head's rows rounded up to kHeadRows.
struct KvUpView {
    WeightView keys;    // [num_heads * padded(latent_dim), nope_dim]: transposed in each head
    WeightView values;  // [num_heads * padded(v_dim), latent_dim]
};

inline constexpr std::int64_t kHeadRows = 16;  // a warp's tile stays within a head

constexpr std::int64_t padded_head_rows(std::int64_t rows) {
    return (rows + kHeadRows - 1) / kHeadRows * kHeadRows;
}

// The query of each head in the latent space, then its rotated part: out [rows, num_heads *
// (latent_dim + rope_dim)].
void absorb_queries(MatrixView queries,
                    const KvUpView& kv_up,
                    const MlaShape& shape,
                    MatrixView out,
                    cudaStream_t stream);

// out [rows, num_heads * v_dim] of attended [rows, num_heads * latent_dim].
void project_values(MatrixView attended,
                    const KvUpView& kv_up,
                    const MlaShape& shape,
                    MatrixView out,
                    cudaStream_t stream);

// Where the keys and values of a head lie in a cache row.
struct HeadLayout {
    std::int64_t num_heads = 0;
    std::int64_t heads_per_key = 1;  // query heads that share one
    std::int64_t key_dim = 0;
    std::int64_t key_stride = 0;  // from one shared head to the next
    std::int64_t value_dim = 0;
    std::int64_t value_offset = 0;
    std::int64_t value_stride = 0;
    float softmax_scale = 1.0F;
};

HeadLayout layout_of(const MlaShape& shape);
HeadLayout layout_of(const GqaShape& shape);

// Splits of the keys of one row, at multiples of 64 tokens. Part of the numbers' definition in
// deterministic mode, where tokens_per_split is kFixedSplit whatever the batch.
inline constexpr std::int64_t kFixedSplit = 512;

struct AttentionPlan {
    std::int64_t num_splits = 1;
    std::int64_t tokens_per_split = kFixedSplit;
};

// Splits such that `num_rows` rows of at most `max_tokens` keys fill the multiprocessors.
AttentionPlan plan_attention(const HeadLayout& layout,
                             std::int64_t num_rows,
                             std::int64_t max_tokens,
                             int num_multiprocessors,
                             bool is_deterministic);

// Of attend(): partial sums of every row, head and split.
std::size_t attention_workspace_bytes(const HeadLayout& layout,
                                      std::int64_t num_rows,
                                      const AttentionPlan& plan);

struct AttentionCall {
    MatrixView queries;                  // [rows, num_heads * key_dim], rotated
    const AttentionRow* rows = nullptr;  // device memory
    std::int64_t num_rows = 0;
    HeadLayout layout;
    CacheView cache;
    AttentionPlan plan;  // every position is below num_splits * tokens_per_split
};

// out: [rows, num_heads * value_dim]; only rows named in call.rows are written. workspace: of
// attention_workspace_bytes().
void attend(const AttentionCall& call, void* workspace, MatrixView out, cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
