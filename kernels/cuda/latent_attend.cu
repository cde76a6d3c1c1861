// See latent_attend.cuh. A block takes 16 or 32 heads of one row and a split of its keys, 64 tokens
// at a time: two warps for each 16 heads. Each warp scores 32 of the tokens, the two exchange their
// odds through shared memory, and each sums half of the 512 value columns. latent_wide.cu takes 64
// heads.
#include "config/base/check.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/device/tiles.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/latent_attend.cuh"
#include "kernels/cuda/latent_wide.cuh"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kKeyDim = 576;
constexpr int kValueDim = 512;
constexpr int kTokens = static_cast<int>(kCacheBlockTokens);
constexpr int kKeyChunks = kKeyDim / 8;
constexpr int kOddsChunks = kTokens / 8;
constexpr int kHalfTokens = kTokens / 2;
constexpr int kHalfValues = kValueDim / 2;
constexpr int kScoreTiles = kHalfTokens / 8;
constexpr int kValueTiles = kHalfValues / 8;
constexpr float kLog2E = 1.44269504F;

// kGroups: of 16 heads.
template <int kGroups>
struct Layout {
    static constexpr int kThreads = kGroups * 64;
    static constexpr int kHeads = kGroups * 16;
    static constexpr int kQueryBytes = kHeads * kKeyDim * 2;
    static constexpr int kTileBytes = kTokens * kKeyDim * 2;
    static constexpr int kOddsBytes = kHeads * kTokens * 2;
    static constexpr int kMaxBytes = kGroups * 2 * 16 * 4;
    static constexpr int kBytes = kQueryBytes + kTileBytes + kOddsBytes + kMaxBytes;
};

template <int kGroups>
__global__ void __launch_bounds__(kGroups * 64) latent_kernel(const float* queries,
                                                              std::int64_t stride,
                                                              const AttentionRow* rows,
                                                              HeadLayout layout,
                                                              CacheView cache,
                                                              std::int64_t tokens_per_split,
                                                              Partials partials) {
    using Tiles = Layout<kGroups>;
    extern __shared__ __align__(128) unsigned char shared[];
    unsigned char* const odds_tile = shared + Tiles::kQueryBytes + Tiles::kTileBytes;
    auto* const maxima = reinterpret_cast<float*>(odds_tile + Tiles::kOddsBytes);
    const std::uint32_t query_at = shared_address(shared);
    const std::uint32_t keys_at = query_at + Tiles::kQueryBytes;
    const std::uint32_t odds_at = shared_address(odds_tile);

    let_next_begin();
    wait_for_inputs();
    const AttentionRow row = rows[blockIdx.y];
    const int first_head = static_cast<int>(blockIdx.x) * Tiles::kHeads;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int group = static_cast<int>(threadIdx.x) / 64;
    const int half = static_cast<int>(threadIdx.x) / 32 % 2;
    const int g = lane / 4;
    const int t = lane % 4;
    const int begin = static_cast<int>(blockIdx.z * tokens_per_split);
    const int end = min(begin + static_cast<int>(tokens_per_split), row.position + 1);
    const int num_heads = static_cast<int>(layout.num_heads);
    if (begin >= end) {
        for (int h = static_cast<int>(threadIdx.x); h < Tiles::kHeads; h += Tiles::kThreads) {
            if (first_head + h < num_heads)
                partials.at(blockIdx.y, first_head + h, blockIdx.z)[kValueDim + 1] = 0.0F;
        }
        return;
    }

    // Loading a tile of keys.
    const auto load_tile = [&](int start) {
        const std::int64_t block = cache.tables[row.table + start / kTokens];
        const auto* from =
            static_cast<const unsigned char*>(cache.data) + block * kTokens * kKeyDim * 2;
        for (int i = static_cast<int>(threadIdx.x); i < kTokens * kKeyChunks;
             i += Tiles::kThreads) {
            const int token = i / kKeyChunks;
            const int chunk = i % kKeyChunks;
            const std::int64_t at = packed_offset(token, chunk * 16, kKeyDim * 2, kTokens);
            copy_async(keys_at + chunk_offset<kKeyChunks>(token, chunk), from + at,
                       start + token < end);
        }
        commit_copies();
    };
    load_tile(begin);

    // The queries, scaled for exp2, as BF16.
    const float scale = layout.softmax_scale * kLog2E;
    for (int i = static_cast<int>(threadIdx.x); i < Tiles::kHeads * kKeyChunks;
         i += Tiles::kThreads) {
        const int h = i / kKeyChunks;
        const int chunk = i % kKeyChunks;
        std::uint32_t words[4] = {};
        if (first_head + h < num_heads) {
            const float* from = queries + row.row * stride +
                                static_cast<std::int64_t>(first_head + h) * kKeyDim + chunk * 8;
            for (int w = 0; w < 4; ++w)
                words[w] = pack_bf16(from[2 * w] * scale, from[2 * w + 1] * scale);
        }
        *reinterpret_cast<uint4*>(shared + chunk_offset<kKeyChunks>(h, chunk)) =
            make_uint4(words[0], words[1], words[2], words[3]);
    }

    float sums[kValueTiles][4] = {};
    float max[2] = {-INFINITY, -INFINITY};  // of rows g and g + 8
    float total[2] = {};                    // of this half's tokens
    for (int start = begin; start < end; start += kTokens) {
        if (start > begin) {
            __syncthreads();
            load_tile(start);
        }
        wait_copies<0>();
        __syncthreads();

        // Scores of 16 heads and 32 tokens.
        float scores[kScoreTiles][4] = {};
#pragma unroll 4
        for (int step = 0; step < kKeyDim / 16; ++step) {
            std::uint32_t a[4];
            load_matrices(a, query_at + chunk_offset<kKeyChunks>(group * 16 + lane % 16,
                                                                 step * 2 + lane / 16));
#pragma unroll
            for (int n = 0; n < kScoreTiles; n += 2) {
                std::uint32_t b[4];
                const int token = half * kHalfTokens + n * 8 + lane / 16 * 8 + lane % 8;
                load_matrices(b,
                              keys_at + chunk_offset<kKeyChunks>(token, step * 2 + lane / 8 % 2));
                mma_bf16(scores[n], a[0], a[1], a[2], a[3], b[0], b[1]);
                mma_bf16(scores[n + 1], a[0], a[1], a[2], a[3], b[2], b[3]);
            }
        }
#pragma unroll
        for (int n = 0; n < kScoreTiles; ++n) {
            for (int i = 0; i < 4; ++i) {
                if (start + half * kHalfTokens + n * 8 + 2 * t + i % 2 >= end)
                    scores[n][i] = -INFINITY;
            }
        }

        // The largest score of each head, of both halves.
        float largest[2] = {max[0], max[1]};
        for (int n = 0; n < kScoreTiles; ++n) {
            for (int i = 0; i < 4; ++i) largest[i / 2] = fmaxf(largest[i / 2], scores[n][i]);
        }
        float* const mine = maxima + (group * 2 + half) * 16;
        for (int r = 0; r < 2; ++r) {
            largest[r] = quad_max(largest[r]);
            if (t == 0) mine[g + r * 8] = largest[r];
        }
        named_barrier(1 + group, 64);
        const float* const others = maxima + (group * 2 + (half ^ 1)) * 16;
        float shrink[2];
        for (int r = 0; r < 2; ++r) {
            largest[r] = fmaxf(largest[r], others[g + r * 8]);
            shrink[r] = exp2f(max[r] - largest[r]);
            max[r] = largest[r];
            total[r] *= shrink[r];
        }
        // The odds, for both warps to read.
#pragma unroll
        for (int n = 0; n < kScoreTiles; ++n) {
            for (int i = 0; i < 4; ++i) {
                scores[n][i] = exp2f(scores[n][i] - max[i / 2]);
                total[i / 2] += scores[n][i];
            }
            for (int r = 0; r < 2; ++r) {
                const std::uint32_t at =
                    chunk_offset<kOddsChunks>(group * 16 + g + r * 8, half * (kHalfTokens / 8) + n);
                *reinterpret_cast<std::uint32_t*>(odds_tile + at + t * 4) =
                    pack_bf16(scores[n][2 * r], scores[n][2 * r + 1]);
            }
        }
        named_barrier(1 + group, 64);

        // Half of the value columns.
#pragma unroll
        for (int n = 0; n < kValueTiles; ++n) {
            for (int i = 0; i < 4; ++i) sums[n][i] *= shrink[i / 2];
        }
#pragma unroll
        for (int step = 0; step < kTokens / 16; ++step) {
            std::uint32_t a[4];
            load_matrices(a, odds_at + chunk_offset<kOddsChunks>(group * 16 + lane % 16,
                                                                 step * 2 + lane / 16));
#pragma unroll
            for (int n = 0; n < kValueTiles; n += 2) {
                std::uint32_t b[4];
                const int token = step * 16 + lane % 16;
                load_transposed(b, keys_at + chunk_offset<kKeyChunks>(
                                                 token, half * (kHalfValues / 8) + n + lane / 16));
                mma_bf16(sums[n], a[0], a[1], a[2], a[3], b[0], b[1]);
                mma_bf16(sums[n + 1], a[0], a[1], a[2], a[3], b[2], b[3]);
            }
        }
    }

    // Both halves' totals, then the partial sums.
    for (int r = 0; r < 2; ++r) total[r] = quad_sum(total[r]);
    named_barrier(1 + group, 64);  // the maxima were read
    if (t == 0) {
        for (int r = 0; r < 2; ++r) maxima[(group * 2 + half) * 16 + g + r * 8] = total[r];
    }
    named_barrier(1 + group, 64);
    for (int r = 0; r < 2; ++r) {
        const int head = first_head + group * 16 + g + r * 8;
        if (head >= num_heads) continue;
        float* const out = partials.at(blockIdx.y, head, blockIdx.z);
        for (int n = 0; n < kValueTiles; ++n) {
            const int c = half * kHalfValues + n * 8 + 2 * t;
            *reinterpret_cast<float2*>(out + c) = make_float2(sums[n][2 * r], sums[n][2 * r + 1]);
        }
        if (half == 0 && t == 0) {
            out[kValueDim] = max[r] / kLog2E;
            out[kValueDim + 1] = total[r] + maxima[(group * 2 + 1) * 16 + g + r * 8];
        }
    }
}

template <int kGroups>
void run(const AttentionCall& call, const Partials& partials, cudaStream_t stream) {
    using Tiles = Layout<kGroups>;
    const auto kernel = latent_kernel<kGroups>;
    CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tiles::kBytes));
    const std::int64_t num_tiles = (call.layout.num_heads + Tiles::kHeads - 1) / Tiles::kHeads;
    const dim3 grid(static_cast<unsigned>(num_tiles), static_cast<unsigned>(call.num_rows),
                    static_cast<unsigned>(call.plan.num_splits));
    launch(kernel, {grid, Tiles::kThreads, Tiles::kBytes}, stream,
           static_cast<const float*>(call.queries.data), call.queries.stride, call.rows,
           call.layout, call.cache, call.plan.tokens_per_split, partials);
}

}  // namespace

bool is_latent_layout(const HeadLayout& layout) {
    return layout.key_dim == kKeyDim && layout.value_dim == kValueDim && layout.value_offset == 0 &&
           layout.heads_per_key == layout.num_heads;
}

std::int64_t latent_heads_per_block(const HeadLayout& layout) {
    return layout.num_heads <= 16 ? 16 : layout.num_heads <= 32 ? 32 : 64;
}

bool attend_latent(const AttentionCall& call,
                   const Partials& partials,
                   MatrixView out,
                   cudaStream_t stream) {
    CHECK(is_latent_layout(call.layout) && call.cache.row_dim == kKeyDim);
    // Two blocks of 16 heads share a multiprocessor: one loads while the other computes.
    switch (latent_heads_per_block(call.layout)) {
        case 16:
            run<1>(call, partials, stream);
            return true;
        case 32:
            run<2>(call, partials, stream);
            return true;
        default:
            attend_wide(call, partials, out, stream);
            return call.plan.num_splits > 1;
    }
}

}  // namespace turnpike::kernels::cuda
