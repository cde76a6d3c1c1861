// One warp's share of a 16-row tile of weights: a segment of K against NT * 8 rows of x.
#pragma once

#include <cstdint>

#include "kernels/api/segments.h"
#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// num_segments and segment_of of kernels/api/segments.h, in units of 128.
struct BlockRange {
    int begin;
    int end;
};

__device__ inline BlockRange blocks_of_segment(std::int64_t cols, int segment, int num_segments) {
    const int units = static_cast<int>((cols + kSegmentUnit - 1) / kSegmentUnit);
    return {segment * units / num_segments, (segment + 1) * units / num_segments};
}

// Weights are read once: past L1, and out of L2 first.
__device__ inline uint4 load_weights(const void* at) {
    uint4 value;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                 : "l"(at));
    return value;
}

// Four FP8 codes to two words of BF16, exactly. A code's exponent and mantissa, moved up, are a
// BF16 2^120 too small; subnormals included.
__device__ inline void fp8_to_bf16(std::uint32_t codes, std::uint32_t& low, std::uint32_t& high) {
    const std::uint32_t even = codes & 0x00FF00FFU;               // codes 0 and 2
    const std::uint32_t odd = (codes >> 8) & 0x00FF00FFU;         // codes 1 and 3
    const std::uint32_t first = __byte_perm(even, odd, 0x5410);   // 0, 1
    const std::uint32_t second = __byte_perm(even, odd, 0x7632);  // 2, 3
    const __nv_bfloat162 factor = __float2bfloat162_rn(0x1p120F);
    const auto widen = [&](std::uint32_t pair) {
        const std::uint32_t bits = (pair & 0x00800080U) << 8 | (pair & 0x007F007FU) << 4;
        const __nv_bfloat162 value =
            __hmul2(*reinterpret_cast<const __nv_bfloat162*>(&bits), factor);
        return *reinterpret_cast<const std::uint32_t*>(&value);
    };
    low = widen(first);
    high = widen(second);
}

// x as FP8 codes.
struct CodedSource {
    CodedRows rows;

    // What a lane multiplies 128 channels of one row by: 2 chunks of 16 codes.
    struct Fragment {
        uint4 chunks[2];
    };

    __device__ Fragment load(std::int64_t row, int block, int t) const {
        const std::uint8_t* at = rows.codes + row * rows.stride + block * kFp8Block + t * 16;
        return {{*reinterpret_cast<const uint4*>(at), *reinterpret_cast<const uint4*>(at + 64)}};
    }

    __device__ float scale(std::int64_t row, int block) const {
        return rows.scales[block * rows.scale_stride + row];
    }
};

// x as f32, in two BF16 parts whose sum has 16 bits of mantissa.
struct PlainSource {
    const float* data;
    std::int64_t stride;
    std::int64_t cols;

    __device__ float value(std::int64_t row, std::int64_t col) const {
        return col < cols ? data[row * stride + col] : 0.0F;
    }

    // Two neighbours' high and low parts.
    __device__ void pair(std::int64_t row,
                         std::int64_t col,
                         std::uint32_t& high,
                         std::uint32_t& low) const {
        const float a = value(row, col);
        const float b = value(row, col + 1);
        const __nv_bfloat162 top = __floats2bfloat162_rn(a, b);
        const __nv_bfloat162 rest =
            __floats2bfloat162_rn(a - __low2float(top), b - __high2float(top));
        high = *reinterpret_cast<const std::uint32_t*>(&top);
        low = *reinterpret_cast<const std::uint32_t*>(&rest);
    }
};

// The row of x of each of this lane's NT columns, -1 beyond the last.
template <int NT>
struct TileColumns {
    std::int64_t
        of_fragment[NT];  // column nt * 8 + g: whose x this lane loads; the last for those beyond
    std::int64_t of_sum[NT]
                       [2];  // columns nt * 8 + 2t and + 1: whose sums this lane holds; likewise
};

// sums[nt] = the products of rows row0 + g, row0 + g + 8 of the weights with the columns.
// FP8 weights, FP8 x. DeepSeek-V3 inference/kernel.py, fp8_gemm.
template <int NT>
__device__ void tile_product(const WeightView& w,
                             std::int64_t row0,
                             BlockRange range,
                             const CodedSource& x,
                             const TileColumns<NT>& columns,
                             float (&sums)[NT][4]) {
    constexpr int kAhead = 4;  // blocks of weights asked for at once: 8 KB a warp
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int g = lane / 4;
    const int t = lane % 4;
    const std::int64_t last = w.rows - 1;
    const auto* codes = static_cast<const std::uint8_t*>(w.data);
    const std::uint8_t* low = codes + (row0 + g < last ? row0 + g : last) * w.stride + t * 16;
    const std::uint8_t* high =
        codes + (row0 + g + 8 < last ? row0 + g + 8 : last) * w.stride + t * 16;
    const float* scales = w.scales + row0 / kFp8Block * w.num_k_blocks();
    for (int first = range.begin; first < range.end; first += kAhead) {
        uint4 a[kAhead][4];
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
            if (first + i >= range.end) break;
            const int at = (first + i) * kFp8Block;
            a[i][0] = load_weights(low + at);
            a[i][1] = load_weights(high + at);
            a[i][2] = load_weights(low + at + 64);
            a[i][3] = load_weights(high + at + 64);
        }
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
            if (first + i >= range.end) break;
            const int block = first + i;
            const float w_scale = scales[block];
#pragma unroll
            for (int nt = 0; nt < NT; ++nt) {
                const CodedSource::Fragment b = x.load(columns.of_fragment[nt], block, t);
                float part[4] = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
                for (int c = 0; c < 2; ++c) {
                    const uint4& u = a[i][2 * c];
                    const uint4& v = a[i][2 * c + 1];
                    mma_fp8(part, u.x, v.x, u.y, v.y, b.chunks[c].x, b.chunks[c].y);
                    mma_fp8(part, u.z, v.z, u.w, v.w, b.chunks[c].z, b.chunks[c].w);
                }
                const float even = x.scale(columns.of_sum[nt][0], block) * w_scale;
                const float odd = x.scale(columns.of_sum[nt][1], block) * w_scale;
                sums[nt][0] += part[0] * even;
                sums[nt][1] += part[1] * odd;
                sums[nt][2] += part[2] * even;
                sums[nt][3] += part[3] * odd;
            }
        }
    }
}

// One chunk of 16 bytes of two rows of weights against f32 x. FP8: 16 columns from col on; BF16: 8.
template <DType kDType>
__device__ inline void chunk_product(const uint4& u,
                                     const uint4& v,
                                     const PlainSource& x,
                                     std::int64_t row,
                                     std::int64_t col,
                                     float (&part)[4]) {
    const std::uint32_t lows[4] = {u.x, u.y, u.z, u.w};
    const std::uint32_t highs[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i += kDType == DType::kF8E4M3 ? 1 : 2) {
        std::uint32_t a[4];
        std::int64_t at = col;
        if constexpr (kDType == DType::kF8E4M3) {
            fp8_to_bf16(lows[i], a[0], a[2]);
            fp8_to_bf16(highs[i], a[1], a[3]);
            at += i * 4;
        } else {
            a[0] = lows[i];
            a[1] = highs[i];
            a[2] = lows[i + 1];
            a[3] = highs[i + 1];
            at += i * 2;
        }
        std::uint32_t top[2];
        std::uint32_t rest[2];
        x.pair(row, at, top[0], rest[0]);
        x.pair(row, at + 2, top[1], rest[1]);
        mma_bf16(part, a[0], a[1], a[2], a[3], top[0], top[1]);
        mma_bf16(part, a[0], a[1], a[2], a[3], rest[0], rest[1]);
    }
}

// FP8 (dequantised) or BF16 weights, f32 x.
template <DType kDType, int NT>
__device__ void tile_product(const WeightView& w,
                             std::int64_t row0,
                             BlockRange range,
                             const PlainSource& x,
                             const TileColumns<NT>& columns,
                             float (&sums)[NT][4]) {
    constexpr bool kIsFp8 = kDType == DType::kF8E4M3;
    constexpr int kBytes = kIsFp8 ? 1 : 2;
    constexpr int kChunks = kFp8Block * kBytes / 64;  // of 4 lanes' 16 bytes
    constexpr int kAhead = kIsFp8 ? 4 : 2;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int g = lane / 4;
    const int t = lane % 4;
    const std::int64_t last = w.rows - 1;
    const auto* bytes = static_cast<const std::uint8_t*>(w.data);
    const auto row_at = [&](std::int64_t row) {
        return bytes + (row < last ? row : last) * w.stride * kBytes + t * 16;
    };
    const std::uint8_t* low = row_at(row0 + g);
    const std::uint8_t* high = row_at(row0 + g + 8);
    for (int first = range.begin; first < range.end; first += kAhead) {
        uint4 a[kAhead][2 * kChunks];
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
            if (first + i >= range.end) break;
            const int at = (first + i) * kFp8Block * kBytes;
#pragma unroll
            for (int c = 0; c < kChunks; ++c) {
                a[i][2 * c] = load_weights(low + at + c * 64);
                a[i][2 * c + 1] = load_weights(high + at + c * 64);
            }
        }
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
            if (first + i >= range.end) break;
            const int block = first + i;
            float scale = 1.0F;
            if constexpr (kIsFp8) scale = w.scales[row0 / kFp8Block * w.num_k_blocks() + block];
#pragma unroll
            for (int nt = 0; nt < NT; ++nt) {
                float part[4] = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
                for (int c = 0; c < kChunks; ++c) {
                    const std::int64_t col =
                        static_cast<std::int64_t>(block) * kFp8Block + (c * 64 + t * 16) / kBytes;
                    chunk_product<kDType>(a[i][2 * c], a[i][2 * c + 1], x, columns.of_fragment[nt],
                                          col, part);
                }
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[nt][j] += part[j] * scale;
            }
        }
    }
}

}  // namespace turnpike::kernels::cuda
