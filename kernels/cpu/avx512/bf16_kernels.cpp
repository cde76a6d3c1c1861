// KernelTable for AVX-512 with VBMI and BF16: rows in pairs of BF16 for dpbf16, FP8 codes to BF16
// by two table look-ups, exact for every finite code.
#include <array>

#include "kernels/cpu/avx512/vector.h"
#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/read_loop.h"
#include "kernels/cpu/fast/row_loops.h"
#include "kernels/cpu/fast/sampler_loops.h"
#include "kernels/cpu/fast/tile_f32.h"

namespace turnpike::kernels::fast {
namespace {

__m512bh as_bf16(__m512i bits) {
    return reinterpret_cast<__m512bh>(bits);
}

__m512bh broadcast_pair(const std::byte* x) {
    return as_bf16(_mm512_set1_epi32(*reinterpret_cast<const int*>(x)));
}

struct Bf16Tile {
    static constexpr int kLanes = 16;
    static constexpr int kScratchBytes = 1;
    static constexpr float kScaleFactor = 1.0F;

    static constexpr int max_rows(int vectors) { return vectors == 1 ? 12 : 24 / vectors; }

    static void unpack(const BlockCall&, std::byte*) {}

    template <int NV, int MR, bool kFetches>
    static void block(const BlockCall& call) {
        Accumulators<Avx512, NV, MR> acc;
        const std::byte* w = call.weights;
        const std::int64_t pairs = (call.k + 1) / 2;
        for (std::int64_t p = 0; p < pairs; ++p, w += NV * 64) {
            if constexpr (kFetches) fetch_ahead<NV * 64>(w);
            __m512bh values[NV];
            for (int v = 0; v < NV; ++v) values[v] = as_bf16(_mm512_load_si512(w + v * 64));
            for (int m = 0; m < MR; ++m) {
                const __m512bh x = broadcast_pair(call.x + m * call.x_row_stride + p * 4);
                for (int v = 0; v < NV; ++v)
                    acc.sum[m][v] = _mm512_dpbf16_ps(acc.sum[m][v], values[v], x);
            }
        }
        acc.add_to(call);
    }
};

// The high and low bytes of the BF16 of codes 0 to 127.
struct CodeTables {
    alignas(64) std::array<std::uint8_t, 128> low{};
    alignas(64) std::array<std::uint8_t, 128> high{};
};

// The BF16 of a code is exact: m * 2^-9 below 2^-6, else (8 + m) * 2^(e - 10).
constexpr std::uint16_t bf16_of_code(unsigned code) {
    unsigned exponent = code >> 3;
    unsigned mantissa = code & 7U;
    if (exponent == 0 && mantissa == 0) return 0;
    if (exponent == 0) {
        exponent = 1;
        while (mantissa < 8) {
            mantissa *= 2;
            --exponent;  // may wrap below zero; the bias below brings it back
        }
    }
    return static_cast<std::uint16_t>((exponent + 120U) << 7 | (mantissa & 7U) << 4);
}

// Made by the compiler: code of this file may not run before the processor is known.
constexpr CodeTables make_code_tables() {
    CodeTables tables;
    for (unsigned code = 0; code < 127; ++code) {
        tables.low[code] = static_cast<std::uint8_t>(bf16_of_code(code) & 0xFF);
        tables.high[code] = static_cast<std::uint8_t>(bf16_of_code(code) >> 8);
    }
    return tables;
}

constexpr CodeTables kTables = make_code_tables();

struct Decoder {
    __m512i low0 = _mm512_load_si512(kTables.low.data());
    __m512i low1 = _mm512_load_si512(kTables.low.data() + 64);
    __m512i high0 = _mm512_load_si512(kTables.high.data());
    __m512i high1 = _mm512_load_si512(kTables.high.data() + 64);
    __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));

    // 64 codes to the pairs of 16 rows and of the 16 rows after them.
    void decode(__m512i codes, __m512bh& first, __m512bh& second) const {
        const __m512i magnitude = _mm512_permutex2var_epi8(high0, codes, high1);
        const __m512i high = _mm512_ternarylogic_epi64(magnitude, codes, sign, 0xF8);
        const __m512i low = _mm512_permutex2var_epi8(low0, codes, low1);
        first = as_bf16(_mm512_unpacklo_epi8(low, high));
        second = as_bf16(_mm512_unpackhi_epi8(low, high));
    }
};

struct Fp8Tile {
    static constexpr int kLanes = 16;
    static constexpr int kScratchBytes = static_cast<int>(kBlock) / 2 * 256;
    static constexpr float kScaleFactor = 1.0F;

    static constexpr int max_rows(int) { return 4; }

    static void unpack(const BlockCall& call, std::byte* scratch) {
        const Decoder decoder;
        const std::byte* w = call.weights;
        const std::int64_t pairs = (call.k + 1) / 2;
        for (std::int64_t p = 0; p < pairs; ++p, w += 128, scratch += 256) {
            __m512bh values[4];
            decoder.decode(_mm512_load_si512(w), values[0], values[1]);
            decoder.decode(_mm512_load_si512(w + 64), values[2], values[3]);
            for (int v = 0; v < 4; ++v)
                _mm512_store_si512(scratch + v * 64, reinterpret_cast<__m512i>(values[v]));
        }
    }

    template <int NV, int MR, bool kFetches>
    static void block(const BlockCall& call) {
        static_assert(NV >= 1 && NV <= 4);
        const Decoder decoder;
        Accumulators<Avx512, 4, MR> acc;  // a group is 64 rows, always
        const std::byte* w = call.weights;
        const std::int64_t pairs = (call.k + 1) / 2;
        for (std::int64_t p = 0; p < pairs; ++p, w += 128) {
            if constexpr (kFetches) fetch_ahead<128>(w);
            __m512bh values[4];
            decoder.decode(_mm512_load_si512(w), values[0], values[1]);
            decoder.decode(_mm512_load_si512(w + 64), values[2], values[3]);
#pragma GCC unroll 12
            for (int m = 0; m < MR; ++m) {
                const __m512bh x = broadcast_pair(call.x + m * call.x_row_stride + p * 4);
#pragma GCC unroll 4
                for (int v = 0; v < 4; ++v)
                    acc.sum[m][v] = _mm512_dpbf16_ps(acc.sum[m][v], values[v], x);
            }
        }
        acc.add_to(call);
    }
};

void tile(const TileCall& call) {
    const std::int64_t bytes = kBlock * call.lanes;
    switch (call.format) {
        case Format::kF32:
            return run_tile<F32Tile<Avx512>, F32Tile<Avx512>, 0>(call, bytes * 4);
        case Format::kBf16:
            return run_tile<Bf16Tile, Bf16Tile, 0>(call, bytes * 2);
        case Format::kFp8:
            return run_tile<Fp8Tile, Bf16Tile, 24>(call, bytes);
    }
}

// Two rows' neighbours to pairs of BF16, rounded to nearest even.
void pack_bf16(const PackCall& call) {
    for (std::int64_t m = 0; m < call.num_rows; ++m) {
        for (std::int64_t k = 0, block = 0; k < call.k; k += kBlock, ++block) {
            std::byte* to = call.out + block * call.block_stride + m * call.row_stride;
            const float* x = call.x + m * call.stride + k;
            const std::int64_t count = std::min(kBlock, call.k - k);
            for (std::int64_t i = 0; i < count; i += 16, to += 32) {
                const std::int64_t rest = count - i;
                const auto mask = static_cast<__mmask16>(rest >= 16 ? 0xFFFF : (1 << rest) - 1);
                const __m256i bits = reinterpret_cast<__m256i>(
                    _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i)));
                // An odd count ends in a pair with a zero.
                const auto even =
                    static_cast<__mmask16>(rest >= 16 ? 0xFFFF : (1 << (rest + rest % 2)) - 1);
                _mm256_mask_storeu_epi16(to, even, bits);
            }
        }
    }
}

void pack_rows(const PackCall& call) {
    if (call.format == Format::kF32) return RowLoops<Avx512>::pack_f32(call, 1.0F);
    pack_bf16(call);
}

float multiply(std::int64_t rounds) {
    __m512 sums[kMultiplyChains];
    for (__m512& sum : sums) sum = _mm512_setzero_ps();
    const __m512bh pair = as_bf16(_mm512_set1_epi32(static_cast<int>(rounds | 0x3F803F80)));
    for (std::int64_t i = 0; i < rounds * kMultiplySteps; ++i) {
        for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, pair, pair);
    }
    for (int c = 1; c < kMultiplyChains; ++c) sums[0] = _mm512_add_ps(sums[0], sums[c]);
    return _mm512_cvtss_f32(sums[0]);
}

KernelTable make_table() {
    KernelTable table = RowLoops<Avx512>::table();
    table.isa = CpuIsa::kAvx512Bf16;
    table.vector_lanes = Avx512::kLanes;
    table.group_lanes = 4 * Avx512::kLanes;
    table.is_paired = true;
    add_sampler_loops<Avx512>(table);
    table.tile = tile;
    table.pack_rows = pack_rows;
    table.multiply = multiply;
    table.read_all = read_loop<Avx512>;
    table.flops_per_round = std::int64_t{4} * kMultiplyChains * kMultiplySteps * Avx512::kLanes;
    table.rows_to_weights = RowLoops<Avx512>::pair_rows;
    table.softmax64 = [](const float* scores, std::int64_t count, float scale,
                         std::uint32_t* packed) {
        return RowLoops<Avx512>::softmax64(scores, count, scale, true, packed);
    };
    return table;
}

}  // namespace

const KernelTable& avx512_bf16_kernels() {
    static const KernelTable kTable = make_table();
    return kTable;
}

}  // namespace turnpike::kernels::fast
