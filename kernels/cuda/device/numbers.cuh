// Number formats in device code, and sums over a warp or a block in a fixed order.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>

#include "kernels/api/fp8.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

__device__ inline float fp8_value(std::uint8_t code) {
    const __half_raw half = __nv_cvt_fp8_to_halfraw(code, __NV_E4M3);
    return __half2float(__half(half));
}

// Round to nearest even, saturating: as kernels/api/fp8.h's fp8_from_float.
__device__ inline std::uint8_t fp8_code(float value) {
    return __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3);
}

__device__ inline float bf16_value(std::uint16_t bits) {
    return __uint_as_float(static_cast<std::uint32_t>(bits) << 16);
}

// Element (row, col) of a weight of any format, its scale applied.
__device__ inline float weight_value(const WeightView& w, std::int64_t row, std::int64_t col) {
    const auto* const bytes = static_cast<const std::uint8_t*>(w.data);
    switch (w.dtype) {
        case DType::kF32:
            return static_cast<const float*>(w.data)[row * w.stride + col];
        case DType::kF16:
            return __half2float(static_cast<const __half*>(w.data)[row * w.stride + col]);
        case DType::kBf16:
            return bf16_value(*reinterpret_cast<const std::uint16_t*>(
                bytes + packed_offset(row, col * 2, w.stride * 2, kWeightTileRows)));
        case DType::kF8E4M3:
            return fp8_value(bytes[packed_offset(row, col, w.stride, kWeightTileRows)]) *
                   w.scales[row / kFp8Block * w.num_k_blocks() + col / kFp8Block];
    }
    return 0.0F;
}

__device__ inline float warp_sum(float value) {
    for (int lane = 16; lane > 0; lane /= 2) value += __shfl_xor_sync(0xFFFFFFFFU, value, lane);
    return value;
}

__device__ inline float warp_max(float value) {
    for (int lane = 16; lane > 0; lane /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFU, value, lane));
    return value;
}

// Two values rounded to BF16, the first in the lower half.
__device__ inline std::uint32_t pack_bf16(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
}

// Over the four lanes of a quad, which hold a row of a product together.
__device__ inline float quad_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFU, value, 1));
    return fmaxf(value, __shfl_xor_sync(0xFFFFFFFFU, value, 2));
}

__device__ inline float quad_sum(float value) {
    value += __shfl_xor_sync(0xFFFFFFFFU, value, 1);
    return value + __shfl_xor_sync(0xFFFFFFFFU, value, 2);
}

// The sum over a block of at most 1,024 threads, in every thread. shared: 32 floats; free again
// after the next barrier.
__device__ inline float block_sum(float value, float* shared) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int num_warps = static_cast<int>(blockDim.x + 31) / 32;
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) shared[warp] = value;
    __syncthreads();
    float total = 0.0F;
    for (int w = 0; w < num_warps; ++w) total += shared[w];
    return total;
}

// Quantises blocks [first_block, end_block) of one row, a warp a block: value(c) gives column c.
template <class Value>
__device__ void quantise_blocks(std::int64_t m,
                                std::int64_t cols,
                                const CodedRows& coded,
                                std::int64_t first_block,
                                std::int64_t end_block,
                                Value value) {
    constexpr int kPerLane = kFp8Block / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for (std::int64_t b = first_block + threadIdx.x / 32; b < end_block; b += blockDim.x / 32) {
        float values[kPerLane];
        float largest = 0.0F;
        const std::int64_t first = b * kFp8Block + lane * kPerLane;
        for (int i = 0; i < kPerLane; ++i) {
            values[i] = first + i < cols ? value(first + i) : 0.0F;
            largest = fmaxf(largest, fabsf(values[i]));
        }
        const float scale = fmaxf(warp_max(largest), 1e-4F) / kFp8Max;
        std::uint32_t word = 0;
        for (int i = 0; i < kPerLane; ++i)
            word |= static_cast<std::uint32_t>(fp8_code(values[i] / scale)) << (8 * i);
        *reinterpret_cast<std::uint32_t*>(
            coded.codes + packed_offset(m, first, coded.stride, kCodedTileRows)) = word;
        if (lane == 0) coded.scales[b * coded.scale_stride + m] = scale;
    }
}

// The whole row.
template <class Value>
__device__ void quantise_row(std::int64_t m,
                             std::int64_t cols,
                             const CodedRows& coded,
                             Value value) {
    quantise_blocks(m, cols, coded, 0, coded.stride / kFp8Block, value);
}

}  // namespace turnpike::kernels::cuda
