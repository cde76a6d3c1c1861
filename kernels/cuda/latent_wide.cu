// See latent_wide.cuh. A block takes 64 heads of one row and a split of its keys, two tiles of 64
// tokens at a time. The sums, 64 x 512, fill two warpgroups' registers: the first has the left half
// of the value columns, the second the right. Each scores one of the two tiles and gives the other
// its odds: the first goes ahead, the second corrects for what it found larger, so that one's
// softmax runs under the other's products ("seesaw": FlashMLA, docs/20250422-new-kernel-deep-dive).
// Two warps copy the tiles, in three parts that are free again at different times: the left value
// columns, the right ones, and the rotated part.
#include "config/base/check.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/device/ring.cuh"
#include "kernels/cuda/device/tiles.cuh"
#include "kernels/cuda/device/wgmma.cuh"
#include "kernels/cuda/latent_wide.cuh"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kHeads = 64;
constexpr int kTokens = static_cast<int>(kCacheBlockTokens);
constexpr int kKeyDim = static_cast<int>(kLatentRowDim);
constexpr int kValueDim = 512;
constexpr int kThreads = 3 * 128;
constexpr int kPartBytes = 64 * 128;  // 64 columns of 64 tokens, or of 64 heads
constexpr int kHalfParts = 4;         // 256 columns
constexpr int kTileBytes = kTokens * kKeyDim * 2;
constexpr int kQueryBytes = 2 * kHalfParts * kPartBytes;
constexpr int kOddsBytes = kHeads * kTokens * 2;
constexpr float kLog2E = 1.44269504F;

// What of a tile is copied and freed together.
enum Part { kLeft, kRight, kRotated, kNumParts };

// Bytes into a tile, and how many.
__device__ constexpr std::uint32_t offset_of(int part) {
    return static_cast<std::uint32_t>(part * kHalfParts * kPartBytes);
}

__device__ constexpr std::uint32_t size_of(int part) {
    return (part == kRotated ? 1 : kHalfParts) * kPartBytes;
}

constexpr int kStatBytes = 5 * kHeads * 4;
constexpr int kSharedBytes =
    kQueryBytes + 2 * kTileBytes + 2 * kOddsBytes + kStatBytes + 4 * kNumParts * 8 + 1024;

// Named barriers; 0 is __syncthreads'.
enum Meeting { kMaxFound = 1, kOddsOfSecond, kOddsOfFirst, kEnd, kTail };

struct Memory {
    __device__ explicit Memory(unsigned char* shared) {
        const std::uint32_t raw = shared_address(shared);
        at = (raw + 1023) & ~1023U;
        data = shared + (at - raw);
        stats = reinterpret_cast<float*>(data + kQueryBytes + 2 * kTileBytes + 2 * kOddsBytes);
        barriers = at + kQueryBytes + 2 * kTileBytes + 2 * kOddsBytes + kStatBytes;
    }

    __device__ std::uint32_t tile(int i) const {
        return at + static_cast<std::uint32_t>(kQueryBytes + i * kTileBytes);
    }

    __device__ unsigned char* tile_data(int i) const { return data + kQueryBytes + i * kTileBytes; }

    // That warpgroup i found.
    __device__ std::uint32_t odds(int i) const {
        return at + static_cast<std::uint32_t>(kQueryBytes + 2 * kTileBytes + i * kOddsBytes);
    }

    __device__ unsigned char* odds_data(int i) const {
        return data + kQueryBytes + 2 * kTileBytes + i * kOddsBytes;
    }

    __device__ float* max_of_first() const { return stats; }

    __device__ float* max_of_both() const { return stats + kHeads; }

    __device__ float* correction() const { return stats + 2 * kHeads; }

    __device__ float* total() const { return stats + 3 * kHeads; }

    __device__ std::uint32_t full(int tile, int part) const {
        return barriers + static_cast<std::uint32_t>((tile * kNumParts + part) * 8);
    }

    __device__ std::uint32_t empty(int tile, int part) const { return full(tile + 2, part); }

    std::uint32_t at;
    std::uint32_t barriers;
    unsigned char* data;
    float* stats;
};

// What a block works on.
struct Work {
    const float* queries;  // of its first head
    int num_heads;         // that are there, of 64
    int begin;             // of its keys
    int end;
    const std::int32_t* table;

    __device__ int num_tiles() const { return (end - begin + kTokens - 1) / kTokens; }
};

// One thread: every second tile from the `which`th on, in parts, in the order of `parts`.
__device__ void copy_tiles(const Memory& memory,
                           const Work& work,
                           const CacheView& cache,
                           int which,
                           const Part (&parts)[kNumParts]) {
    int round = 0;
    for (int i = which; i < work.num_tiles(); i += 2, ++round) {
        const std::int64_t block = work.table[work.begin / kTokens + i];
        const auto* const from = static_cast<const unsigned char*>(cache.data) + block * kTileBytes;
        for (const Part part : parts) {
            if (round > 0)
                barrier_wait(memory.empty(which, part), static_cast<std::uint32_t>(round - 1) & 1);
            const std::uint32_t full = memory.full(which, part);
            barrier_expect(full, size_of(part));
            const std::uint32_t to = memory.tile(which) + offset_of(part);
            bulk_copy(to, from + offset_of(part), size_of(part), full);
        }
    }
}

// A warpgroup: the queries but for their rotated part, scaled for exp2, as BF16 in strips.
__device__ void store_queries(
    const Memory& memory, const Work& work, float scale, int thread, int num_threads) {
    constexpr int kPieces = kValueDim / 8;
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(work.queries) % 16 == 0;
#pragma unroll 4
    for (int i = thread; i < kHeads * kPieces; i += num_threads) {
        const int head = i / kPieces;
        const int piece = i % kPieces;
        std::uint32_t words[4] = {};
        if (head < work.num_heads) {
            const float* const from = work.queries + head * kKeyDim + piece * 8;
            float values[8];
            if (is_aligned) {
                *reinterpret_cast<float4*>(values) = *reinterpret_cast<const float4*>(from);
                *reinterpret_cast<float4*>(values + 4) = *reinterpret_cast<const float4*>(from + 4);
            } else {
                for (int c = 0; c < 8; ++c) values[c] = from[c];
            }
            for (int w = 0; w < 4; ++w)
                words[w] = pack_bf16(values[2 * w] * scale, values[2 * w + 1] * scale);
        }
        *reinterpret_cast<uint4*>(memory.data + piece / 8 * kPartBytes + head * 128 +
                                  (piece % 8 ^ head % 8) * 16) =
            make_uint4(words[0], words[1], words[2], words[3]);
    }
}

// One of the two warpgroups that compute. Thread 32 w + 4 g + t
// has rows 16 w + g and 8 further, of 64 heads.
class Computing {
  public:
    __device__ Computing(const Memory& memory, const Work& work, float scale)
        : memory_(memory), work_(work) {
        for (int step = 0; step < 4; ++step) {
            for (int i = 0; i < 4; ++i) {
                const int head = head_of(i % 2);
                const int col = kValueDim + step * 16 + i / 2 * 8 + lane() % 4 * 2;
                const float* const from = work.queries + head * kKeyDim + col;
                rotated_[step][i] =
                    head < work.num_heads ? pack_bf16(from[0] * scale, from[1] * scale) : 0;
            }
        }
    }

    __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

    __device__ static int head_of(int h) {
        return static_cast<int>(threadIdx.x) / 32 % 4 * 16 + h * 8 + lane() / 4;
    }

    // Scores tile i, which lies in memory as tile `which`; the halves' parts in this order.
    __device__ void score(int i, int which, Part first, Part second) {
        const auto parity = static_cast<std::uint32_t>(i / 2) & 1;
        const int left = work_.end - work_.begin - i * kTokens;
        if (left < kTokens) {
            for (int part = 0; part < kNumParts; ++part)
                barrier_wait(memory_.full(which, part), parity);
            clear_tail(which, left);
        }
        barrier_wait(memory_.full(which, kRotated), parity);
#pragma unroll
        for (float& score : scores_) score = 0.0F;
        keep_in_place(scores_);
        wgmma_fence();
        const std::uint32_t rotated = memory_.tile(which) + offset_of(kRotated);
#pragma unroll
        for (int step = 0; step < 4; ++step)
            wgmma_bf16(scores_, rotated_[step],
                       strips_descriptor(rotated + static_cast<std::uint32_t>(step * 32)));
        for (const Part part : {first, second}) {
            barrier_wait(memory_.full(which, part), parity);
            wgmma_fence();
            const std::uint64_t a = strips_descriptor(memory_.at + offset_of(part));
            const std::uint64_t b = strips_descriptor(memory_.tile(which) + offset_of(part));
#pragma unroll
            for (int step = 0; step < 4 * kHalfParts; ++step) {
                // Four steps of 32 bytes a part of 64 columns, in units of 16.
                const auto further =
                    static_cast<unsigned>(step / 4 * (kPartBytes / 16) + step % 4 * 2);
                wgmma_bf16<true>(scores_, a + further, b + further);
            }
        }
        wgmma_commit();
        wgmma_wait<0>();
        keep_in_place(scores_);
        free(which, kRotated);
        if (left < kTokens) hide_tail(left);
    }

    // The largest score of each of the thread's two rows, or `at_least`.
    __device__ void find_largest(float (&largest)[2]) const {
#pragma unroll
        for (int i = 0; i < 32; ++i) largest[i / 2 % 2] = fmaxf(largest[i / 2 % 2], scores_[i]);
        for (float& value : largest) value = quad_max(value);
    }

    // Scores become odds against the new largest scores; what was summed before shrinks.
    __device__ void take_odds(const float (&largest)[2]) {
        shrink_to(largest);
#pragma unroll
        for (int i = 0; i < 32; ++i) {
            scores_[i] = exp2f(scores_[i] - largest[i / 2 % 2]);
            total_[i / 2 % 2] += scores_[i];
        }
#pragma unroll
        for (int step = 0; step < 4; ++step) {
            for (int i = 0; i < 4; ++i) {
                const int at = 8 * step + i / 2 * 4 + i % 2 * 2;
                odds_[step][i] = pack_bf16(scores_[at], scores_[at + 1]);
            }
        }
    }

    __device__ void shrink_to(const float (&largest)[2]) {
        float factors[2];
        for (int h = 0; h < 2; ++h) {
            factors[h] = exp2f(max_[h] - largest[h]);
            max_[h] = largest[h];
        }
        scale_sums(factors);
    }

    __device__ void scale_sums(const float (&factors)[2]) {
        for (int h = 0; h < 2; ++h) total_[h] *= factors[h];
        if (__any_sync(0xFFFFFFFFU, factors[0] != 1.0F || factors[1] != 1.0F)) {
#pragma unroll
            for (int i = 0; i < 128; ++i) sums_[i] *= factors[i / 2 % 2];
        }
    }

    // The odds, times a factor a row, for the other warpgroup to multiply with.
    __device__ void store_odds(int group, const float (&factors)[2]) const {
        unsigned char* const to = memory_.odds_data(group);
        const int g = lane() / 4;
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            for (int h = 0; h < 2; ++h) {
                *reinterpret_cast<std::uint32_t*>(to + head_of(h) * 128 + (j ^ g) * 16 +
                                                  lane() % 4 * 4) =
                    pack_bf16(scores_[4 * j + 2 * h] * factors[h],
                              scores_[4 * j + 2 * h + 1] * factors[h]);
            }
        }
        fence_copies();
    }

    // sums += the own odds times this half of the columns of the tile.
    __device__ void add_own(int which, Part part) {
        const std::uint64_t b = columns_descriptor(memory_.tile(which) + offset_of(part));
        keep_in_place(sums_);
        wgmma_fence();
#pragma unroll
        for (int step = 0; step < 4; ++step)
            wgmma_bf16(sums_, odds_[step], b + static_cast<unsigned>(step * 2048 / 16));
        wgmma_commit();
    }

    // The same with the odds of the other warpgroup.
    __device__ void add_other(int group, int which, Part part) {
        const std::uint64_t a = strips_descriptor(memory_.odds(group ^ 1));
        const std::uint64_t b = columns_descriptor(memory_.tile(which) + offset_of(part));
        keep_in_place(sums_);
        wgmma_fence();
#pragma unroll
        for (int step = 0; step < 4; ++step)
            wgmma_bf16(sums_, a + static_cast<unsigned>(step * 2),
                       b + static_cast<unsigned>(step * 2048 / 16));
        wgmma_commit();
    }

    // For the products begun, or all but the last.
    __device__ void wait() {
        wgmma_wait<0>();
        keep_in_place(sums_);
    }

    __device__ void wait_but_one() {
        wgmma_wait<1>();
        keep_in_place(sums_);
    }

    // Each warp by itself: others may still read.
    __device__ void free(int which, Part part) const {
        if (lane() == 0) barrier_arrive(memory_.empty(which, part));
    }

    __device__ const float (&max() const)[2] {
        return max_;
    }

    __device__ float total(int h) const {
        return quad_sum(total_[h]);
    }

    __device__ void store_sums(float* to, int h, int first_col, float factor) const {
#pragma unroll
        for (int j = 0; j < 32; ++j) {
            *reinterpret_cast<float2*>(to + first_col + j * 8 + lane() % 4 * 2) =
                make_float2(sums_[4 * j + 2 * h] * factor, sums_[4 * j + 2 * h + 1] * factor);
        }
    }

  private:
    // Tokens that are not there hold whatever was left in the cache: not to be multiplied with,
    // even by zero.
    __device__ void clear_tail(int which, int left) const {
        unsigned char* const tile = memory_.tile_data(which);
        for (int i = static_cast<int>(threadIdx.x) % 128; i < kTileBytes / 16; i += 128) {
            const int line = i / 8 % kTokens;
            if (line / 8 * 8 + static_cast<int>(packed_row(line % 8)) >= left)
                reinterpret_cast<uint4*>(tile)[i] = uint4{};
        }
        fence_copies();
        named_barrier(kTail + which, 128);
    }

    __device__ void hide_tail(int left) {
#pragma unroll
        for (int i = 0; i < 32; ++i) {
            const int line = lane() % 4 * 2 + i % 2;
            if (i / 4 * 8 + static_cast<int>(packed_row(line)) >= left) scores_[i] = -INFINITY;
        }
    }

    const Memory& memory_;
    const Work& work_;
    std::uint32_t rotated_[4][4];
    std::uint32_t odds_[4][4];
    float scores_[32];
    float sums_[128] = {};
    float max_[2] = {-INFINITY, -INFINITY};
    float total_[2] = {};
};

constexpr int kBoth = 256;

// The first warpgroup: even tiles, left columns.
__device__ void run_first(const Memory& memory, const Work& work, Computing& own) {
    const int num_tiles = work.num_tiles();
    const bool writes = Computing::lane() % 4 == 0;
    for (int i = 0; i < num_tiles; i += 2) {
        const bool has_second = i + 1 < num_tiles;
        own.score(i, 0, kLeft, kRight);
        float largest[2] = {own.max()[0], own.max()[1]};
        own.find_largest(largest);
        if (writes) {
            for (int h = 0; h < 2; ++h) memory.max_of_first()[Computing::head_of(h)] = largest[h];
        }
        pass_barrier(kMaxFound, kBoth);
        own.take_odds(largest);
        own.add_own(0, kLeft);
        float correction[2] = {1.0F, 1.0F};
        if (has_second) {
            named_barrier(kOddsOfSecond, kBoth);
            for (int h = 0; h < 2; ++h) correction[h] = memory.correction()[Computing::head_of(h)];
        }
        own.store_odds(0, correction);
        pass_barrier(kOddsOfFirst, kBoth);
        own.wait();
        own.free(0, kLeft);
        if (!has_second) return;
        for (int h = 0; h < 2; ++h) largest[h] = memory.max_of_both()[Computing::head_of(h)];
        own.shrink_to(largest);
        own.add_other(0, 1, kLeft);
        own.wait();
        own.free(1, kLeft);
    }
}

// The second: odd tiles, right columns.
__device__ void run_second(const Memory& memory, const Work& work, Computing& own) {
    const int num_tiles = work.num_tiles();
    const bool writes = Computing::lane() % 4 == 0;
    for (int i = 0; i < num_tiles; i += 2) {
        const bool has_second = i + 1 < num_tiles;
        if (has_second) own.score(i + 1, 1, kRight, kLeft);
        named_barrier(kMaxFound, kBoth);
        float largest[2];
        float before[2];
        for (int h = 0; h < 2; ++h) {
            before[h] = memory.max_of_first()[Computing::head_of(h)];
            largest[h] = before[h];
        }
        if (has_second) {
            own.find_largest(largest);
            if (writes) {
                for (int h = 0; h < 2; ++h) {
                    memory.max_of_both()[Computing::head_of(h)] = largest[h];
                    memory.correction()[Computing::head_of(h)] = exp2f(before[h] - largest[h]);
                }
            }
            own.take_odds(largest);
            own.store_odds(1, {1.0F, 1.0F});
            pass_barrier(kOddsOfSecond, kBoth);
            own.add_own(1, kRight);
        } else {
            own.shrink_to(largest);
        }
        named_barrier(kOddsOfFirst, kBoth);
        own.add_other(1, 0, kRight);
        if (has_second) {
            own.wait_but_one();
            own.free(1, kRight);
        }
        own.wait();
        own.free(0, kRight);
    }
}

// direct: where the results go when there is one split, [rows, num_heads * 512]; or null.
__global__ void __launch_bounds__(kThreads, 1) wide_kernel(const float* queries,
                                                           std::int64_t stride,
                                                           const AttentionRow* rows,
                                                           int num_heads,
                                                           float softmax_scale,
                                                           CacheView cache,
                                                           std::int64_t tokens_per_split,
                                                           Partials partials,
                                                           float* direct,
                                                           std::int64_t direct_stride) {
    extern __shared__ unsigned char shared[];
    let_next_begin();
    const Memory memory(shared);
    if (threadIdx.x == 0) {
        for (int tile = 0; tile < 2; ++tile) {
            for (int part = 0; part < kNumParts; ++part) {
                barrier_init(memory.full(tile, part), 1);
                barrier_init(memory.empty(tile, part), 4);
            }
        }
        fence_barriers();
    }
    wait_for_inputs();
    const AttentionRow row = rows[blockIdx.y];
    const int first_head = static_cast<int>(blockIdx.x) * kHeads;
    Work work;
    work.queries = queries + row.row * stride + static_cast<std::int64_t>(first_head) * kKeyDim;
    work.num_heads = min(kHeads, num_heads - first_head);
    work.begin = static_cast<int>(blockIdx.z * tokens_per_split);
    work.end = min(work.begin + static_cast<int>(tokens_per_split), row.position + 1);
    work.table = cache.tables + row.table;
    if (work.begin >= work.end) {
        for (int h = static_cast<int>(threadIdx.x); h < work.num_heads; h += kThreads)
            partials.at(blockIdx.y, first_head + h, blockIdx.z)[kValueDim + 1] = 0.0F;
        return;
    }
    const float scale = softmax_scale * kLog2E;
    __syncthreads();
    const int group = static_cast<int>(threadIdx.x) / 128 - 1;
    if (group < 0) {
        give_registers<40>();
        if (threadIdx.x == 0) copy_tiles(memory, work, cache, 0, {kRotated, kLeft, kRight});
        if (threadIdx.x == 32) copy_tiles(memory, work, cache, 1, {kRotated, kRight, kLeft});
        return;
    }
    take_registers<232>();
    store_queries(memory, work, scale, static_cast<int>(threadIdx.x) - 128, kBoth);
    fence_copies();
    named_barrier(kEnd, kBoth);
    Computing own(memory, work, scale);
    if (group == 0)
        run_first(memory, work, own);
    else
        run_second(memory, work, own);

    // Each one's totals are of its own tiles, against the same largest scores.
    for (int h = 0; h < 2; ++h) {
        const float total = own.total(h);
        if (Computing::lane() % 4 == 0)
            memory.total()[group * kHeads + Computing::head_of(h)] = total;
    }
    named_barrier(kEnd, kBoth);
    for (int h = 0; h < 2; ++h) {
        const int head = Computing::head_of(h);
        const float total = memory.total()[head] + memory.total()[kHeads + head];
        if (head >= work.num_heads) continue;
        if (direct != nullptr) {
            float* const to = direct + row.row * direct_stride +
                              static_cast<std::int64_t>(first_head + head) * kValueDim;
            own.store_sums(to, h, group * kValueDim / 2, 1.0F / total);
            continue;
        }
        float* const out = partials.at(blockIdx.y, first_head + head, blockIdx.z);
        own.store_sums(out, h, group * kValueDim / 2, 1.0F);
        if (group == 0 && Computing::lane() % 4 == 0) {
            out[kValueDim] = own.max()[h] / kLog2E;
            out[kValueDim + 1] = total;
        }
    }
}

}  // namespace

void attend_wide(const AttentionCall& call,
                 const Partials& partials,
                 MatrixView out,
                 cudaStream_t stream) {
    CHECK(call.cache.row_dim == kKeyDim && call.layout.value_dim == kValueDim);
    const std::int64_t num_tiles = (call.layout.num_heads + kHeads - 1) / kHeads;
    const dim3 grid(static_cast<unsigned>(num_tiles), static_cast<unsigned>(call.num_rows),
                    static_cast<unsigned>(call.plan.num_splits));
    auto* const direct =
        call.plan.num_splits == 1 ? static_cast<float*>(out.data) : static_cast<float*>(nullptr);
    CUDA_CHECK(cudaFuncSetAttribute(wide_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    kSharedBytes));
    launch(wide_kernel, {grid, kThreads, kSharedBytes}, stream,
           static_cast<const float*>(call.queries.data), call.queries.stride, call.rows,
           static_cast<int>(call.layout.num_heads), call.layout.softmax_scale, call.cache,
           call.plan.tokens_per_split, partials, direct, out.stride);
}

}  // namespace turnpike::kernels::cuda
