// The f32 vectors of AVX-512 for tile_f32.h. Included by this folder's .cpp files only, which are
// compiled for the instruction set.
#pragma once

#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>

namespace turnpike::kernels::fast {
namespace {

struct Avx512 {
    using F = __m512;
    using I = __m512i;
    static constexpr int kLanes = 16;
    static constexpr int kAccumulators = 24;

    static F zero() { return _mm512_setzero_ps(); }

    static F broadcast(float value) { return _mm512_set1_ps(value); }

    static F load(const float* from) { return _mm512_loadu_ps(from); }

    static void store(float* to, F value) { _mm512_storeu_ps(to, value); }

    static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }

    static I load_bits(const std::uint32_t* from) { return _mm512_loadu_si512(from); }

    static I load_ids(const std::int32_t* from) { return _mm512_loadu_si512(from); }

    // first, first + 1, ...
    static I count_up(std::int64_t first) {
        const I lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        return _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(first)));
    }

    // Lanes with low <= value < high.
    static std::uint32_t between(F value, F low, F high) {
        return _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(value, low, _CMP_GE_OQ), value, high,
                                       _CMP_LT_OQ);
    }

    // Stores the lanes of the mask side by side; the rest of the vector's length is overwritten.
    static void keep(float* to, F value, std::uint32_t mask) {
        _mm512_storeu_ps(to, _mm512_maskz_compress_ps(static_cast<__mmask16>(mask), value));
    }

    static void keep_ids(std::int32_t* to, I value, std::uint32_t mask) {
        _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), value));
    }

    static I broadcast_bits(std::uint32_t bits) {
        return _mm512_set1_epi32(static_cast<int>(bits));
    }

    static I xor_bits(I a, I b) { return _mm512_xor_si512(a, b); }

    static F add(F a, F b) { return _mm512_add_ps(a, b); }

    static F subtract(F a, F b) { return _mm512_sub_ps(a, b); }

    static F larger(F a, F b) { return _mm512_max_ps(a, b); }

    // value where x >= limit, else 0.
    static F zero_below(F value, F x, F limit) {
        return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_GE_OQ), value);
    }

    // value * 2^e, e the low bits of `exponent`'s fraction.
    static F scale_by_power(F value, F exponent) {
        const I bits = _mm512_slli_epi32(_mm512_castps_si512(exponent), 23);
        return _mm512_castsi512_ps(add_bits(_mm512_castps_si512(value), bits));
    }

    static F multiply(F a, F b) { return _mm512_mul_ps(a, b); }

    struct Wide {
        I high;
        I low;
    };

    // The halves of the 64-bit products.
    static Wide multiply_wide(I a, std::uint32_t b) {
        const I factor = broadcast_bits(b);
        const I even = _mm512_mul_epu32(a, factor);
        const I odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), factor);
        constexpr __mmask16 kOdd = 0xAAAA;
        return {_mm512_mask_blend_epi32(kOdd, _mm512_srli_epi64(even, 32), odd),
                _mm512_mask_blend_epi32(kOdd, even, _mm512_slli_epi64(odd, 32))};
    }

    // floor((2^32 - 1 - word) / 2^8).
    static F distance_to_one(I words) {
        const I rest = _mm512_xor_si512(words, _mm512_set1_epi32(-1));
        return _mm512_cvtepi32_ps(_mm512_srli_epi32(rest, 8));
    }

    // Lanes with a <= b.
    static std::uint32_t at_most(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }

    static I zero_bits() { return _mm512_setzero_si512(); }

    static I add_bits(I a, I b) { return _mm512_add_epi32(a, b); }

    static F low_bf16(I pair) { return _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16)); }

    static F high_bf16(I pair) {
        return _mm512_castsi512_ps(
            _mm512_and_si512(pair, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U))));
    }

    // The byte that a left shift by kShift brings to the top, as f32 times 2^-120.
    template <unsigned kShift>
    static F fp8_byte(I codes) {
        const I top = _mm512_srai_epi32(_mm512_slli_epi32(codes, kShift), 4);
        return _mm512_castsi512_ps(
            _mm512_and_si512(top, _mm512_set1_epi32(static_cast<int>(0x87F00000U))));
    }

    // Four FP8 codes of each lane, byte 0 first, as f32 times 2^-120.
    static void fp8_values(I codes, F (&out)[4]) {
        out[0] = fp8_byte<24>(codes);
        out[1] = fp8_byte<16>(codes);
        out[2] = fp8_byte<8>(codes);
        out[3] = fp8_byte<0>(codes);
    }
};

}  // namespace
}  // namespace turnpike::kernels::fast
#endif
