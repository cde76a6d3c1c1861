// Streaming 128 rows of packed weights through shared memory. One thread copies units of 128 bytes
// of K, 16 KB of weights and the rows of x beside them, into a ring; eight warps multiply 16 rows
// of weights each (swapped: weights are the operand with 16 rows, tokens the one with 8 columns);
// the blocks of a cluster, which share K, add their sums.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/device/ring.cuh"
#include "kernels/cuda/device/tiles.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

inline constexpr int kStreamWarps = 8;                          // that multiply
inline constexpr int kStreamThreads = (kStreamWarps + 1) * 32;  // and one that copies
inline constexpr int kBlockRows = 128;                          // of weights
inline constexpr int kTileBytes = kWeightTileRows * 128;
inline constexpr int kStripBytes = kCodedTileRows * 128;
inline constexpr int kMaxUnits = 256;  // of one block's K
inline constexpr int kMaxCluster = 8;

// x: FP8 codes and scales, or the high and low BF16 parts.
struct StreamedRows {
    const unsigned char* codes;
    const unsigned char* low;
    const float* scales;
    std::int64_t scale_stride;
    int num_tiles;  // of 8 rows
    int num_rows;
};

// kBlocksAtOnce: blocks that share a multiprocessor, and with it the memory for what is under way.
template <DType kWeights, int NT, int kBlocksAtOnce>
struct Ring {
    static constexpr DType kDType = kWeights;
    static constexpr int kColumnTiles = NT;
    static constexpr bool kIsFp8 = kDType == DType::kF8E4M3;
    static constexpr int kParts = kIsFp8 ? 1 : 2;
    static constexpr int kScaleBytes = kIsFp8 ? NT * 8 * 4 : 0;
    static constexpr int kRowBytes = NT * kStripBytes * kParts;
    static constexpr int kStageBytes = 2 * kTileBytes + kRowBytes + kScaleBytes;
    static constexpr int kBlocks = kBlocksAtOnce;
    static constexpr int kMost = (kBlocks == 3 ? 70 : kBlocks == 2 ? 104 : 200) * 1024;
    static constexpr int kStages = std::min(8, kMost / kStageBytes);
    // The sums of the block lie where the ring was.
    static constexpr int kSumBytes = kBlockRows * NT * 8 * 4;
    static constexpr int kRingBytes = std::max(kStages * kStageBytes, kSumBytes);
    static constexpr int kWeightScaleBytes = kIsFp8 ? 2 * kMaxUnits * 4 : 0;
    static constexpr int kBytes = kRingBytes + kWeightScaleBytes + 2 * kStages * 8 + 128;
    static_assert(kStages >= 3);
};

// Two tiles of 64 rows of weights: a dense matrix's neighbours, or an expert's gate and up.
struct TilePair {
    WeightView weight[2];
    std::int64_t tile[2];

    __device__ bool has(int i) const { return tile[i] * kWeightTileRows < weight[i].rows; }

    __device__ const unsigned char* at(int i, int unit, int num_units) const {
        return static_cast<const unsigned char*>(weight[i].data) +
               (tile[i] * num_units + unit) * kTileBytes;
    }

    __device__ float scale(int i, int unit) const {
        return weight[i]
            .scales[tile[i] * kWeightTileRows / kFp8Block * weight[i].num_k_blocks() + unit];
    }
};

// What one block has to do.
struct Work {
    TilePair pair;
    int num_units;   // of the whole K
    int begin, end;  // of this block's
    int first_tile;  // of the columns, in tiles of 8
    int num_tiles;
};

// What lane 4 g + t reads of a tile's strip: piece 4 half + t of row g.
__device__ inline int lane_offset(int half) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    return static_cast<int>(packed_offset(lane / 4, lane % 4 * 16, 128, kCodedTileRows)) ^
           (half * 64);
}

__device__ inline uint4 load_piece(const unsigned char* at) {
    return *reinterpret_cast<const uint4*>(at);
}

// 16 FP8 codes as F16.
struct HalfPiece {
    std::uint32_t words[8];

    __device__ explicit HalfPiece(const uint4& codes) {
        fp8_to_f16(codes.x, words[0], words[1]);
        fp8_to_f16(codes.y, words[2], words[3]);
        fp8_to_f16(codes.z, words[4], words[5]);
        fp8_to_f16(codes.w, words[6], words[7]);
    }
};

// One unit of one warp's 16 rows of FP8 weights times FP8 rows: sums[nt] += their product, times
// both scales. The products of 64 channels are summed, then scaled.
template <int NT>
__device__ void multiply_codes(const unsigned char* stage,
                               const unsigned char* weights,
                               float w_scale,
                               float (&sums)[NT][4]) {
    const unsigned char* const rows = stage + 2 * kTileBytes;
    const auto* const scales =
        reinterpret_cast<const float*>(stage + 2 * kTileBytes + (NT * kStripBytes)) +
        threadIdx.x % 4 * 2;
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const int offset = lane_offset(c);
        const HalfPiece low(load_piece(weights + offset));
        const HalfPiece high(load_piece(weights + kStripBytes + offset));
#pragma unroll
        for (int nt = 0; nt < NT; ++nt) {
            const HalfPiece b(load_piece(rows + nt * kStripBytes + offset));
            float part[4] = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
            for (int w = 0; w < 8; w += 2) {
                mma_f16(part, low.words[w], high.words[w], low.words[w + 1], high.words[w + 1],
                        b.words[w], b.words[w + 1]);
            }
            const float2 scale = *reinterpret_cast<const float2*>(scales + nt * 8);
            sums[nt][0] += part[0] * (scale.x * w_scale);
            sums[nt][1] += part[1] * (scale.y * w_scale);
            sums[nt][2] += part[2] * (scale.x * w_scale);
            sums[nt][3] += part[3] * (scale.y * w_scale);
        }
    }
}

// The same of BF16 weights and rows in two BF16 parts.
template <int NT>
__device__ void multiply_parts(const unsigned char* stage,
                               const unsigned char* weights,
                               float (&sums)[NT][4]) {
    const unsigned char* const rows = stage + 2 * kTileBytes;
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const int offset = lane_offset(c);
        const uint4 low = load_piece(weights + offset);
        const uint4 high = load_piece(weights + kStripBytes + offset);
#pragma unroll
        for (int strip = 0; strip < 2 * NT; ++strip) {
            const uint4 b = load_piece(rows + strip * kStripBytes + offset);
            mma_bf16(sums[strip % NT], low.x, high.x, low.y, high.y, b.x, b.y);
            mma_bf16(sums[strip % NT], low.z, high.z, low.w, high.w, b.z, b.w);
        }
    }
}

template <DType kDType, int NT>
__device__ void multiply(const unsigned char* stage,
                         int warp,
                         float w_scale,
                         float (&sums)[NT][4]) {
    const unsigned char* const weights = stage + warp * 2 * kStripBytes;
    if constexpr (kDType == DType::kF8E4M3)
        multiply_codes<NT>(stage, weights, w_scale, sums);
    else
        multiply_parts<NT>(stage, weights, sums);
}

// The ring, its barriers and how far it has come.
template <class Ring>
class Stages {
  public:
    using Tiles = Ring;

    __device__ explicit Stages(unsigned char* shared)
        : data_(shared),
          at_(shared_address(shared)),
          full_(at_ + Tiles::kRingBytes + Tiles::kWeightScaleBytes),
          empty_(full_ + Tiles::kStages * 8) {}

    __device__ void init() const {
        for (int s = 0; s < Tiles::kStages; ++s) {
            barrier_init(full_ + s * 8, 1);
            barrier_init(empty_ + s * 8, kStreamWarps);
        }
        fence_barriers();
    }

    // By the thread that copies, before anybody waits: begins with the weights, which do not depend
    // on the kernels ahead.
    __device__ void begin(const Work& work) const {
        init();
        const int ahead = min(work.end - work.begin, Tiles::kStages);
        for (int i = 0; i < ahead; ++i) copy_weights(i, work, work.begin + i);
    }

    // Copies of iteration i, once its stage was read.
    __device__ void copy_weights(int i, const Work& work, int unit) const {
        const int s = i % Tiles::kStages;
        if (i >= Tiles::kStages) barrier_wait(empty_ + s * 8, (i / Tiles::kStages - 1) & 1);
        const int present = (work.pair.has(0) ? 1 : 0) + (work.pair.has(1) ? 1 : 0);
        const int tiles = columns(work, 0);
        barrier_expect(
            full_ + s * 8,
            static_cast<std::uint32_t>(present * kTileBytes + tiles * kStripBytes * Tiles::kParts +
                                       (Tiles::kIsFp8 ? tiles * 32 : 0)));
        for (int p = 0; p < 2; ++p) {
            if (work.pair.has(p))
                bulk_copy_once(stage(s) + static_cast<std::uint32_t>(p * kTileBytes),
                               work.pair.at(p, unit, work.num_units), kTileBytes, full_ + s * 8);
        }
    }

    __device__ void copy_rows(int i, const Work& work, const StreamedRows& x, int unit) const {
        const int s = i % Tiles::kStages;
        const int tiles = columns(work, 0);
        const std::uint32_t to = stage(s) + 2 * kTileBytes;
        for (int n = 0; n < tiles; ++n) {
            const std::int64_t strip =
                (static_cast<std::int64_t>(work.first_tile + n) * work.num_units + unit) *
                kStripBytes;
            bulk_copy(to + static_cast<std::uint32_t>(n * kStripBytes), x.codes + strip,
                      kStripBytes, full_ + s * 8);
            if constexpr (!Tiles::kIsFp8)
                bulk_copy(to + static_cast<std::uint32_t>((Tiles::kColumnTiles + n) * kStripBytes),
                          x.low + strip, kStripBytes, full_ + s * 8);
        }
        if constexpr (Tiles::kIsFp8) {
            bulk_copy(
                to + Tiles::kRowBytes,
                x.scales + unit * x.scale_stride + static_cast<std::int64_t>(work.first_tile) * 8,
                static_cast<std::uint32_t>(tiles * 32), full_ + s * 8);
        }
    }

    __device__ const unsigned char* wait_full(int i) const {
        const int s = i % Tiles::kStages;
        barrier_wait(full_ + s * 8, (i / Tiles::kStages) & 1);
        return data_ + s * Tiles::kStageBytes;
    }

    __device__ void free(int i) const { barrier_arrive(empty_ + i % Tiles::kStages * 8); }

    __device__ float* weight_scales() const {
        return reinterpret_cast<float*>(data_ + Tiles::kRingBytes);
    }

    __device__ float* sums() const { return reinterpret_cast<float*>(data_); }

    // Column tiles of one pass.
    __device__ static int columns(const Work& work, int) {
        return min(Tiles::kColumnTiles, work.num_tiles);
    }

  private:
    __device__ std::uint32_t stage(int s) const {
        return at_ + static_cast<std::uint32_t>(s * Tiles::kStageBytes);
    }

    unsigned char* data_;
    std::uint32_t at_;
    std::uint32_t full_;
    std::uint32_t empty_;
};

// The block's 128 rows times up to NT * 8 columns, over its share of K: added over the cluster, the
// sums of row r and column c are given to finish(r, c, sum) once, by the block whose rows they are.
// `base`: iterations of the ring before this pass. The first pass is behind begin().
template <bool kIsFirst, class Ring, class Finish>
__device__ void run_pass(const Stages<Ring>& stages,
                         const Work& work,
                         const StreamedRows& x,
                         int base,
                         int cluster_size,
                         Finish finish) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int count = work.end - work.begin;
    constexpr DType kDType = Ring::kDType;
    constexpr int NT = Ring::kColumnTiles;
    float sums[NT][4] = {};
    if (warp == kStreamWarps) {
        if (lane == 0) {
            const int ahead = kIsFirst ? min(count, Ring::kStages) : 0;
            if (kIsFirst) wait_for_inputs();
            for (int i = 0; i < ahead; ++i) stages.copy_rows(i, work, x, work.begin + i);
            for (int i = ahead; i < count; ++i) {
                stages.copy_weights(base + i, work, work.begin + i);
                stages.copy_rows(base + i, work, x, work.begin + i);
            }
        }
        __syncwarp();
    } else {
        const int pair = warp / 4;
        const float* const scales = stages.weight_scales() + pair * kMaxUnits;
        const bool has_rows = work.pair.has(pair);
        for (int i = 0; i < count; ++i) {
            const unsigned char* const stage = stages.wait_full(base + i);
            const float scale = kDType == DType::kF8E4M3 ? scales[i] : 1.0F;
            if (has_rows) multiply<kDType, NT>(stage, warp, scale, sums);
            __syncwarp();
            if (lane == 0) stages.free(base + i);
        }
    }
    // All copies have landed and were read: the ring's memory holds the sums now.
    __syncthreads();
    float* const own = stages.sums();
    if (warp < kStreamWarps) {
        for (int nt = 0; nt < NT; ++nt) {
            for (int j = 0; j < 4; ++j) {
                const int column = nt * 8 + lane % 4 * 2 + j % 2;
                own[column * kBlockRows + warp * 16 + lane / 4 + j / 2 * 8] = sums[nt][j];
            }
        }
    }
    cluster_barrier();
    const int columns = stages.columns(work, 0) * 8;
    const int rows = kBlockRows / 2 / cluster_size;  // of each of the two tiles
    const int rank = static_cast<int>(cluster_rank());
    for (int i = static_cast<int>(threadIdx.x); i < columns * rows; i += kStreamThreads) {
        const int column = i / rows;
        const int row = rank * rows + i % rows;
        float total[2] = {0.0F, 0.0F};
        for (int p = 0; p < 2; ++p) {
            const auto* const at = own + column * kBlockRows + p * (kBlockRows / 2) + row;
            if (cluster_size == 1) {
                total[p] = *at;
            } else {
                for (int r = 0; r < cluster_size; ++r)
                    total[p] += read_cluster(shared_address(at), static_cast<std::uint32_t>(r));
            }
        }
        finish(row, column, total[0], total[1]);
    }
    fence_copies();
    cluster_barrier();
}

template <class Ring>
__device__ void load_weight_scales(const Stages<Ring>& stages, const Work& work) {
    if constexpr (Ring::kIsFp8) {
        for (int p = 0; p < 2; ++p) {
            if (!work.pair.has(p)) continue;
            for (int i = static_cast<int>(threadIdx.x); i < work.end - work.begin;
                 i += kStreamThreads)
                stages.weight_scales()[p * kMaxUnits + i] = work.pair.scale(p, work.begin + i);
        }
    }
}

}  // namespace turnpike::kernels::cuda
