// The row loops of KernelTable in plain C++, which the compiler turns into vectors: each .cpp of an
// instruction set instantiates RowLoops with a tag of its own. Compiled without contraction, so
// that every set gives the same bits here. Sums run over 16 interleaved partial sums.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/cpu/fast/kernel_table.h"

namespace turnpike::kernels::fast {

template <class Tag>
struct RowLoops {
    static constexpr int kLanes = 16;

    // exp(x) for x <= 88, relative error below 2e-7; 0 below -87.
    static float exp_of(float x) {
        constexpr float kShift = 12582912.0F;  // 1.5 * 2^23: adding it rounds to a whole number
        const float clamped = x < -87.0F ? -87.0F : x;
        const float shifted = clamped * 1.44269504F + kShift;
        const float whole = shifted - kShift;
        const float r = (clamped - whole * 0.693359375F) + whole * 2.12194440e-4F;
        float p = 1.9875691500e-4F;
        p = p * r + 1.3981999507e-3F;
        p = p * r + 8.3334519073e-3F;
        p = p * r + 4.1665795894e-2F;
        p = p * r + 1.6666665459e-1F;
        p = p * r + 5.0000001201e-1F;
        p = p * r * r + r + 1.0F;
        const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) << 23;
        const float value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + exponent);
        return x < -87.0F ? 0.0F : value;
    }

    static float sum_lanes(float (&sums)[kLanes]) {
        for (int width = kLanes / 2; width > 0; width /= 2) {
            for (int lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
        }
        return sums[0];
    }

    static void rms_norm(
        const float* x, const float* weight, float epsilon, std::int64_t n, float* out) {
        float sums[kLanes] = {};
        std::int64_t i = 0;
        for (; i + kLanes <= n; i += kLanes) {
            for (int lane = 0; lane < kLanes; ++lane) sums[lane] += x[i + lane] * x[i + lane];
        }
        for (int lane = 0; i < n && lane < kLanes; ++i, ++lane) sums[lane] += x[i] * x[i];
        const float mean = sum_lanes(sums) / static_cast<float>(n);
        const float inverse = 1.0F / std::sqrt(mean + epsilon);
        for (i = 0; i < n; ++i) out[i] = x[i] * inverse * weight[i];
    }

    static void silu_mul(const float* gate, const float* up, std::int64_t n, float* out) {
        for (std::int64_t i = 0; i < n; ++i) {
            const float a = gate[i];
            const float negated = -a > 87.0F ? 87.0F : -a;  // exp_of ends at 88
            out[i] = a / (1.0F + exp_of(negated)) * up[i];
        }
    }

    static std::uint32_t bf16_bits(float value) {
        const auto bits = std::bit_cast<std::uint32_t>(value);
        return (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    }

    static void merge(
        float* to, float old_scale, const float* from, float new_scale, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) to[i] = to[i] * old_scale + from[i] * new_scale;
    }

    static float max_of(const float* x, std::int64_t n) {
        float best[kLanes];
        std::fill_n(best, kLanes, -std::numeric_limits<float>::infinity());
        std::int64_t i = 0;
        for (; i + kLanes <= n; i += kLanes) {
            for (int lane = 0; lane < kLanes; ++lane)
                best[lane] = x[i + lane] > best[lane] ? x[i + lane] : best[lane];
        }
        for (int lane = 0; i < n && lane < kLanes; ++i, ++lane)
            best[lane] = x[i] > best[lane] ? x[i] : best[lane];
        for (int lane = 1; lane < kLanes; ++lane)
            best[0] = best[lane] > best[0] ? best[lane] : best[0];
        return best[0];
    }

    // Scores past `count` become -infinity, their weights 0.
    static KernelTable::Softmax softmax64(const float* scores,
                                          std::int64_t count,
                                          float scale,
                                          bool is_paired,
                                          std::uint32_t* packed) {
        float scaled[64];
        for (std::int64_t i = 0; i < 64; ++i)
            scaled[i] = i < count ? scores[i] * scale : -std::numeric_limits<float>::infinity();
        KernelTable::Softmax result;
        result.max = max_of(scaled, 64);
        float weights[64];
        for (int i = 0; i < 64; ++i) weights[i] = exp_of(scaled[i] - result.max);
        if (is_paired) {
            std::uint32_t bits[64];
            for (int i = 0; i < 64; ++i) {
                bits[i] = bf16_bits(weights[i]);
                weights[i] = std::bit_cast<float>(bits[i] << 16);
            }
            for (int i = 0; i < 32; ++i) packed[i] = bits[2 * i] | bits[2 * i + 1] << 16;
        } else {
            std::memcpy(packed, weights, sizeof weights);
        }
        float sums[kLanes] = {};
        for (int i = 0; i < 64; i += kLanes) {
            for (int lane = 0; lane < kLanes; ++lane) sums[lane] += weights[i + lane];
        }
        result.total = sum_lanes(sums);
        return result;
    }

    static void transpose(const std::uint32_t* from,
                          std::int64_t stride,
                          std::int64_t num_rows,
                          std::int64_t num_units,
                          std::uint32_t* to,
                          std::int64_t lanes) {
        constexpr std::int64_t kTile = 16;
        for (std::int64_t u = 0; u < num_units; u += kTile) {
            const std::int64_t end = std::min(num_units, u + kTile);
            for (std::int64_t r = 0; r < lanes; ++r) {
                for (std::int64_t i = u; i < end; ++i)
                    to[i * lanes + r] = r < num_rows ? from[r * stride + i] : 0U;
            }
        }
    }

    static void pair_rows(const std::byte* from,
                          std::int64_t stride_bytes,
                          std::int64_t num_rows,
                          std::int64_t lanes,
                          std::uint32_t* to) {
        for (std::int64_t t = 0; t < num_rows; t += 2, to += lanes) {
            const auto* first = reinterpret_cast<const std::uint16_t*>(from + t * stride_bytes);
            if (t + 1 == num_rows) {
                for (std::int64_t i = 0; i < lanes; ++i) to[i] = first[i];
                continue;
            }
            const auto* second =
                reinterpret_cast<const std::uint16_t*>(from + (t + 1) * stride_bytes);
            for (std::int64_t i = 0; i < lanes; ++i)
                to[i] = first[i] | static_cast<std::uint32_t>(second[i]) << 16;
        }
    }

    static void copy_rows(const std::byte* from,
                          std::int64_t stride_bytes,
                          std::int64_t num_rows,
                          std::int64_t lanes,
                          std::uint32_t* to) {
        for (std::int64_t t = 0; t < num_rows; ++t)
            std::memcpy(to + t * lanes, from + t * stride_bytes,
                        static_cast<std::size_t>(lanes) * 4);
    }

    // Rows in f32, times `factor`.
    static void pack_f32(const PackCall& call, float factor) {
        constexpr std::int64_t kUnit = 4;
        for (std::int64_t m = 0; m < call.num_rows; ++m) {
            for (std::int64_t k = 0, block = 0; k < call.k; k += kBlock, ++block) {
                auto* to = reinterpret_cast<float*>(call.out + block * call.block_stride +
                                                    m * call.row_stride);
                const float* x = call.x + m * call.stride + k;
                const std::int64_t count = std::min(kBlock, call.k - k);
                for (std::int64_t i = 0; i < count; ++i) to[i] = x[i] * factor;
                for (std::int64_t i = count; i % kUnit != 0; ++i) to[i] = 0.0F;
            }
        }
    }

    // The loops that do not depend on the instruction set's way to multiply.
    static KernelTable table() {
        KernelTable table;
        table.rms_norm = rms_norm;
        table.silu_mul = silu_mul;
        table.transpose = transpose;
        table.rows_to_weights = copy_rows;
        table.softmax64 = [](const float* scores, std::int64_t count, float scale,
                             std::uint32_t* packed) {
            return softmax64(scores, count, scale, false, packed);
        };
        table.merge = merge;
        table.pack_rows = [](const PackCall& call) {
            pack_f32(call, call.format == Format::kFp8 ? 0x1p100F : 1.0F);
        };
        return table;
    }
};

}  // namespace turnpike::kernels::fast
