// One warp's share of a 16-row tile of packed weights: a segment of K against NT * 8 rows of x, the
// weights asked for ahead in registers.
#pragma once

#include <cstdint>

#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// Units of 128 bytes of a weight's columns: 128 FP8 values or 64 BF16.
struct UnitRange {
    int begin;
    int end;
};

// Weights are read once: past L1.
__device__ inline uint4 load_weights(const void* at) {
    uint4 value;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];"
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

// Rows that follow each other: column c is row first * 8 + c.
struct DenseColumns {
    int first_tile;
    int last_tile;
    int last_row;

    __device__ int tile(int nt) const { return min(first_tile + nt, last_tile); }

    // The row whose x this lane loads.
    __device__ int fragment_row(int nt, int g) const { return min(tile(nt) * 8 + g, last_row); }
};

// Rows that a list names.
template <int NT>
struct ListedColumns {
    int fragments[NT];

    __device__ int fragment_row(int nt, int) const { return fragments[nt]; }
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

// One unit of two rows' weights: rows g and g + 8, pieces t and 4 + t.
struct WeightUnit {
    uint4 low[2];
    uint4 high[2];
};

// The weights of rows row0 .. row0 + 15, a multiple of 16.
class WeightStream {
  public:
    __device__ WeightStream(const WeightView& w, std::int64_t row0, int bytes_per_value) {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        const std::int64_t low = packed_offset(row0 + lane / 4, lane % 4 * 16,
                                               w.stride * bytes_per_value, kWeightTileRows);
        at_ = static_cast<const std::uint8_t*>(w.data) + low;
        to_high_piece_ = static_cast<int>((low ^ 64) - low);
    }

    __device__ WeightUnit load(int unit) const {
        const std::uint8_t* at = at_ + static_cast<std::int64_t>(unit) * kWeightTileRows * 128;
        const std::uint8_t* const high = at + to_high_piece_;
        return {{load_weights(at), load_weights(high)},
                {load_weights(at + 1024), load_weights(high + 1024)}};
    }

  private:
    const std::uint8_t* at_;
    int to_high_piece_;
};

// Calls compute(unit, weights) for every unit of the range in order, kAhead units asked for ahead.
// Weights do not depend on the kernels ahead: with kWaits, those are waited for behind the first.
template <int kAhead, bool kWaits, class Compute>
__device__ void for_each_unit(const WeightStream& stream, UnitRange range, Compute compute) {
    WeightUnit units[2][kAhead];
    const auto load = [&](WeightUnit(&to)[kAhead], int first) {
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
            if (first + i < range.end) to[i] = stream.load(first + i);
        }
    };
    const auto run = [&](const WeightUnit(&from)[kAhead], int first) {
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
            if (first + i < range.end) compute(first + i, from[i]);
        }
    };
    load(units[0], range.begin);
    if constexpr (kWaits) wait_for_inputs();
    for (int first = range.begin; first < range.end; first += 2 * kAhead) {
        load(units[1], first + kAhead);
        run(units[0], first);
        load(units[0], first + 2 * kAhead);
        run(units[1], first + kAhead);
    }
}

// One piece of 16 bytes of two rows of weights against f32 x: 16 FP8 or 8 BF16 values from col on.
template <DType kDType>
__device__ inline void piece_product(const uint4& u,
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

// sums[nt] += one unit of FP8 (dequantised) or BF16 weights times f32 x.
template <DType kDType, int NT, class Columns>
__device__ void unit_product(const WeightUnit& a,
                             int unit,
                             float w_scale,
                             const PlainSource& x,
                             const Columns& columns,
                             float (&sums)[NT][4]) {
    constexpr int kPerPiece = kDType == DType::kF8E4M3 ? 16 : 8;
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int nt = 0; nt < NT; ++nt) {
        float part[4] = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            const std::int64_t col =
                (static_cast<std::int64_t>(unit) * 8 + 4 * c + lane % 4) * kPerPiece;
            piece_product<kDType>(a.low[c], a.high[c], x, columns.fragment_row(nt, lane / 4), col,
                                  part);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[nt][j] += part[j] * w_scale;
    }
}

// sums[nt] += rows row0 + g, row0 + g + 8 of the weights times the columns, over the units of the
// range. A whole warp calls it.
template <DType kDType, int NT, int kAhead, bool kWaits, class Columns>
__device__ void tile_product(const WeightView& w,
                             std::int64_t row0,
                             UnitRange range,
                             const PlainSource& x,
                             const Columns& columns,
                             float (&sums)[NT][4]) {
    constexpr bool kIsFp8 = kDType == DType::kF8E4M3;
    const WeightStream stream(w, row0, kIsFp8 ? 1 : 2);
    const float* const scales = w.scales + row0 / kFp8Block * w.num_k_blocks();
    for_each_unit<kAhead, kWaits>(stream, range, [&](int unit, const WeightUnit& a) {
        float scale = 1.0F;
        if constexpr (kIsFp8) scale = scales[unit];
        unit_product<kDType, NT>(a, unit, scale, x, columns, sums);
    });
}

}  // namespace turnpike::kernels::cuda
