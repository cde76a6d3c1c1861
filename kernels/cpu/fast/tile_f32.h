// Tiles in f32: weights of any format against f32 rows. `V` wraps the vectors of an instruction set
// and has internal linkage in the .cpp that instantiates this.
//
// FP8 codes become f32 by moving exponent and mantissa into place: the value times 2^-120, exact
// for every finite code, subnormals included. The rows are multiplied by 2^100 when they are
// packed, and the block's scale by 2^20.
#pragma once

#include "kernels/cpu/fast/tile.h"

namespace turnpike::kernels::fast {

inline constexpr float kFp8RowFactor = 0x1p100F;
inline constexpr float kFp8ScaleFactor = 0x1p20F;

template <class V, int NV, int MR>
struct Accumulators {
    typename V::F sum[MR][NV];

    Accumulators() {
#pragma GCC unroll 12
        for (int m = 0; m < MR; ++m) {
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) sum[m][v] = V::zero();
        }
    }

    void add_to(const BlockCall& call) const {
        const typename V::F factor = V::broadcast(call.scale);
#pragma GCC unroll 12
        for (int m = 0; m < MR; ++m) {
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) {
                float* to = call.out + m * call.out_row_stride + v * V::kLanes;
                V::store(to, V::fma(sum[m][v], factor, V::load(to)));
            }
        }
    }
};

template <class V>
struct F32Tile {
    static constexpr int kLanes = V::kLanes;
    static constexpr int kScratchBytes = 1;
    static constexpr float kScaleFactor = 1.0F;

    static constexpr int max_rows(int vectors) { return V::kAccumulators / vectors; }

    static void unpack(const BlockCall&, std::byte*) {}

    template <int NV, int MR, bool kFetches>
    static void block(const BlockCall& call) {
        Accumulators<V, NV, MR> acc;
        const auto* w = reinterpret_cast<const float*>(call.weights);
        for (std::int64_t k = 0; k < call.k; ++k, w += NV * V::kLanes) {
            if constexpr (kFetches) fetch_ahead<NV * V::kLanes * 4>(w);
            typename V::F values[NV];
            for (int v = 0; v < NV; ++v) values[v] = V::load(w + v * V::kLanes);
            for (int m = 0; m < MR; ++m) {
                const auto* x = reinterpret_cast<const float*>(call.x + m * call.x_row_stride);
                const typename V::F factor = V::broadcast(x[k]);
                for (int v = 0; v < NV; ++v)
                    acc.sum[m][v] = V::fma(values[v], factor, acc.sum[m][v]);
            }
        }
        acc.add_to(call);
    }
};

template <class V>
struct Bf16ToF32Tile {
    static constexpr int kLanes = V::kLanes;
    static constexpr int kScratchBytes = static_cast<int>(kBlock) * 4 * V::kLanes * 4;
    static constexpr float kScaleFactor = 1.0F;

    static constexpr int max_rows(int vectors) {
        return vectors == 4 ? 1 : V::kAccumulators / 2 / vectors;
    }

    static void unpack(const BlockCall& call, std::byte* scratch) {
        const auto* w = reinterpret_cast<const std::uint32_t*>(call.weights);
        auto* to = reinterpret_cast<float*>(scratch);
        constexpr int kRow = 4 * V::kLanes;
        for (std::int64_t k = 0; k < call.k; k += 2, w += kRow, to += 2 * kRow) {
            for (int v = 0; v < 4; ++v) {
                const typename V::I pair = V::load_bits(w + v * V::kLanes);
                V::store(to + v * V::kLanes, V::low_bf16(pair));
                V::store(to + kRow + v * V::kLanes, V::high_bf16(pair));
            }
        }
    }

    template <int NV, int MR, bool kFetches>
    static void block(const BlockCall& call) {
        Accumulators<V, NV, MR> acc;
        const auto* w = reinterpret_cast<const std::uint32_t*>(call.weights);
        // An odd k ends in a pair with a zero, and so does its row.
        for (std::int64_t k = 0; k < call.k; k += 2, w += NV * V::kLanes) {
            if constexpr (kFetches) fetch_ahead<NV * V::kLanes * 4>(w);
            for (int m = 0; m < MR; ++m) {
                const auto* x = reinterpret_cast<const float*>(call.x + m * call.x_row_stride) + k;
                const typename V::F first = V::broadcast(x[0]);
                const typename V::F second = V::broadcast(x[1]);
                for (int v = 0; v < NV; ++v) {
                    const typename V::I pair = V::load_bits(w + v * V::kLanes);
                    acc.sum[m][v] = V::fma(V::low_bf16(pair), first, acc.sum[m][v]);
                    acc.sum[m][v] = V::fma(V::high_bf16(pair), second, acc.sum[m][v]);
                }
            }
        }
        acc.add_to(call);
    }
};

// FP8 weights, in groups of kFp8Lanes: enough chains of multiply-adds for one row to hide their
// latency. More rows than two pay the conversion once, in parts of a group that fit the L1 cache.
template <class V>
struct Fp8ToF32Tile {
    static constexpr int kVectors = kFp8Lanes / V::kLanes;
    static constexpr int kPartVectors = 4;
    static constexpr int kPartLanes = kPartVectors * V::kLanes;
    static constexpr std::int64_t kDirectRows = 2;

    // Four codes of each lane to four vectors, k ascending.
    template <bool kFetches>
    static void one_row(const BlockCall& call) {
        Accumulators<V, kVectors, 1> acc;
        const auto* w = reinterpret_cast<const std::uint32_t*>(call.weights);
        for (std::int64_t k = 0; k < call.k; k += 4, w += kFp8Lanes) {
            if constexpr (kFetches) fetch_ahead<kFp8Lanes * 4>(w);
            const auto* x = reinterpret_cast<const float*>(call.x) + k;
            const typename V::F factors[4] = {V::broadcast(x[0]), V::broadcast(x[1]),
                                              V::broadcast(x[2]), V::broadcast(x[3])};
            for (int v = 0; v < kVectors; ++v) {
                typename V::F values[4];
                V::fp8_values(V::load_bits(w + v * V::kLanes), values);
                for (int i = 0; i < 4; ++i)
                    acc.sum[0][v] = V::fma(values[i], factors[i], acc.sum[0][v]);
            }
        }
        acc.add_to(call);
    }

    // The lanes from w on of a block to [k][kPartLanes] f32.
    static void unpack(const std::uint32_t* w, std::int64_t k_end, float* to) {
        for (std::int64_t k = 0; k < k_end; k += 4, w += kFp8Lanes, to += 4 * kPartLanes) {
            for (int v = 0; v < kPartVectors; ++v) {
                typename V::F values[4];
                V::fp8_values(V::load_bits(w + v * V::kLanes), values);
                for (int i = 0; i < 4; ++i)
                    V::store(to + i * kPartLanes + v * V::kLanes, values[i]);
            }
        }
    }

    static void many_rows(BlockCall call, std::int64_t num_rows) {
        alignas(64) float scratch[kBlock * kPartLanes];
        const auto* w = reinterpret_cast<const std::uint32_t*>(call.weights);
        call.weights = reinterpret_cast<const std::byte*>(scratch);
        for (int lane = 0; lane < kFp8Lanes; lane += kPartLanes, call.out += kPartLanes) {
            unpack(w + lane, call.k, scratch);
            run_block<F32Tile<V>, kPartVectors>(call, num_rows);
        }
    }

    // One row, inlined, with what one_row() keeps in registers set up once.
    template <bool kFetches>
    static void run_single(const TileCall& call) {
        std::int64_t block = 0;
        for (std::int64_t k = 0; k < call.k; k += kBlock, ++block) {
            const float scale = call.scales != nullptr ? call.scales[block] : 1.0F;
            one_row<kFetches>({call.weights + block * kBlock * kFp8Lanes,
                               std::min(kBlock, call.k - k), call.x + block * call.x_block_stride,
                               call.x_row_stride, scale * kFp8ScaleFactor, call.out, kFp8Lanes});
        }
    }

    static void run(const TileCall& call) {
        std::fill_n(call.out, call.num_rows * kFp8Lanes, 0.0F);
        if (call.num_rows == 1)
            return call.is_weight_streamed ? run_single<true>(call) : run_single<false>(call);
        std::int64_t block = 0;
        for (std::int64_t k = 0; k < call.k; k += kBlock, ++block) {
            const float scale = call.scales != nullptr ? call.scales[block] : 1.0F;
            BlockCall part{call.weights + block * kBlock * kFp8Lanes,
                           std::min(kBlock, call.k - k),
                           call.x + block * call.x_block_stride,
                           call.x_row_stride,
                           scale * kFp8ScaleFactor,
                           call.out,
                           kFp8Lanes};
            if (call.num_rows > kDirectRows) {
                many_rows(part, call.num_rows);
                continue;
            }
            for (std::int64_t m = 0; m < call.num_rows; ++m) {
                one_row<false>(part);
                part.x += call.x_row_stride;
                part.out += kFp8Lanes;
            }
        }
    }
};

// Register arithmetic alone: twelve chains of kMultiplySteps.
inline constexpr int kMultiplyChains = 12;
inline constexpr int kMultiplySteps = 64;

template <class V>
float multiply_f32(std::int64_t rounds) {
    typename V::F sums[kMultiplyChains];
    for (auto& sum : sums) sum = V::zero();
    typename V::F factor = V::broadcast(1.0F + static_cast<float>(rounds) * 1e-12F);
    for (std::int64_t i = 0; i < rounds * kMultiplySteps; ++i) {
        for (auto& sum : sums) sum = V::fma(factor, factor, sum);
    }
    float out[V::kLanes];
    for (int c = 1; c < kMultiplyChains; ++c) sums[0] = V::fma(sums[c], factor, sums[0]);
    V::store(out, sums[0]);
    return out[0];
}

template <class V>
void tile_f32(const TileCall& call) {
    const std::int64_t bytes = kBlock * call.lanes;
    switch (call.format) {
        case Format::kF32:
            return run_tile<F32Tile<V>, F32Tile<V>, 0>(call, bytes * 4);
        case Format::kBf16:
            return run_tile<Bf16ToF32Tile<V>, F32Tile<V>, 2>(call, bytes * 2);
        case Format::kFp8:
            return Fp8ToF32Tile<V>::run(call);
    }
}

}  // namespace turnpike::kernels::fast
