// KernelTable for AVX2 and FMA: f32 rows, groups of 32 output rows.
#include <immintrin.h>

#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/read_loop.h"
#include "kernels/cpu/fast/row_loops.h"
#include "kernels/cpu/fast/sampler_loops.h"
#include "kernels/cpu/fast/tile_f32.h"

namespace turnpike::kernels::fast {
namespace {

// For each mask, the lanes that it holds, side by side.
struct KeptLanes {
    alignas(32) std::int32_t lanes[256][8] = {};

    constexpr KeptLanes() {
        for (int mask = 0; mask < 256; ++mask) {
            int count = 0;
            for (int lane = 0; lane < 8; ++lane) {
                if ((mask >> lane & 1) != 0) lanes[mask][count++] = lane;
            }
        }
    }
};

constexpr KeptLanes kKeptLanes;

struct Avx2 {
    using F = __m256;
    using I = __m256i;
    static constexpr int kLanes = 8;
    static constexpr int kAccumulators = 12;

    static F zero() { return _mm256_setzero_ps(); }

    static F broadcast(float value) { return _mm256_set1_ps(value); }

    static F load(const float* from) { return _mm256_loadu_ps(from); }

    static void store(float* to, F value) { _mm256_storeu_ps(to, value); }

    static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }

    static I load_bits(const std::uint32_t* from) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    }

    static I load_ids(const std::int32_t* from) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    }

    // first, first + 1, ...
    static I count_up(std::int64_t first) {
        const I lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        return _mm256_add_epi32(lanes, _mm256_set1_epi32(static_cast<int>(first)));
    }

    // Lanes with low <= value < high.
    static std::uint32_t between(F value, F low, F high) {
        const F is_in = _mm256_and_ps(_mm256_cmp_ps(value, low, _CMP_GE_OQ),
                                      _mm256_cmp_ps(value, high, _CMP_LT_OQ));
        return static_cast<std::uint32_t>(_mm256_movemask_ps(is_in));
    }

    // Stores the lanes of the mask side by side; the rest of the vector's length is overwritten.
    static void keep(float* to, F value, std::uint32_t mask) {
        store(to, _mm256_permutevar8x32_ps(value, load_ids(kKeptLanes.lanes[mask])));
    }

    static void keep_ids(std::int32_t* to, I value, std::uint32_t mask) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                            _mm256_permutevar8x32_epi32(value, load_ids(kKeptLanes.lanes[mask])));
    }

    static I broadcast_bits(std::uint32_t bits) {
        return _mm256_set1_epi32(static_cast<int>(bits));
    }

    static I xor_bits(I a, I b) { return _mm256_xor_si256(a, b); }

    static F add(F a, F b) { return _mm256_add_ps(a, b); }

    static F subtract(F a, F b) { return _mm256_sub_ps(a, b); }

    static F larger(F a, F b) { return _mm256_max_ps(a, b); }

    // value where x >= limit, else 0.
    static F zero_below(F value, F x, F limit) {
        return _mm256_and_ps(_mm256_cmp_ps(x, limit, _CMP_GE_OQ), value);
    }

    // value * 2^e, e the low bits of `exponent`'s fraction.
    static F scale_by_power(F value, F exponent) {
        const I bits = _mm256_slli_epi32(_mm256_castps_si256(exponent), 23);
        return _mm256_castsi256_ps(add_bits(_mm256_castps_si256(value), bits));
    }

    static F multiply(F a, F b) { return _mm256_mul_ps(a, b); }

    struct Wide {
        I high;
        I low;
    };

    // The halves of the 64-bit products.
    static Wide multiply_wide(I a, std::uint32_t b) {
        const I factor = broadcast_bits(b);
        const I even = _mm256_mul_epu32(a, factor);
        const I odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), factor);
        constexpr int kOdd = 0xAA;
        return {_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, kOdd),
                _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), kOdd)};
    }

    // floor((2^32 - 1 - word) / 2^8).
    static F distance_to_one(I words) {
        const I rest = _mm256_xor_si256(words, _mm256_set1_epi32(-1));
        return _mm256_cvtepi32_ps(_mm256_srli_epi32(rest, 8));
    }

    // Lanes with a <= b.
    static std::uint32_t at_most(F a, F b) {
        return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)));
    }

    static I zero_bits() { return _mm256_setzero_si256(); }

    static I add_bits(I a, I b) { return _mm256_add_epi32(a, b); }

    static F low_bf16(I pair) { return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16)); }

    static F high_bf16(I pair) {
        return _mm256_castsi256_ps(
            _mm256_and_si256(pair, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U))));
    }

    // Four FP8 codes of each lane, byte 0 first, as f32 times 2^-120. Shifts of 16-bit halves move
    // two codes at once: 9 operations, where moving each code alone takes 11.
    static void fp8_values(I codes, F (&out)[4]) {
        const I kept = _mm256_set1_epi32(static_cast<int>(0x87F087F0U));
        const I upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000U));
        const I odd = _mm256_and_si256(_mm256_srai_epi16(codes, 4), kept);
        const I even = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(codes, 8), 4), kept);
        out[0] = _mm256_castsi256_ps(_mm256_slli_epi32(even, 16));
        out[1] = _mm256_castsi256_ps(_mm256_slli_epi32(odd, 16));
        out[2] = _mm256_castsi256_ps(_mm256_and_si256(even, upper));
        out[3] = _mm256_castsi256_ps(_mm256_and_si256(odd, upper));
    }
};

KernelTable make_table() {
    KernelTable table = RowLoops<Avx2>::table();
    table.isa = CpuIsa::kAvx2;
    table.vector_lanes = Avx2::kLanes;
    table.group_lanes = 4 * Avx2::kLanes;
    add_sampler_loops<Avx2>(table);
    table.tile = tile_f32<Avx2>;
    table.multiply = multiply_f32<Avx2>;
    table.read_all = read_loop<Avx2>;
    table.flops_per_round = std::int64_t{2} * kMultiplyChains * kMultiplySteps * Avx2::kLanes;
    return table;
}

}  // namespace

const KernelTable& avx2_kernels() {
    static const KernelTable kTable = make_table();
    return kTable;
}

}  // namespace turnpike::kernels::fast
