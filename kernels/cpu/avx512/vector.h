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
};

}  // namespace
}  // namespace turnpike::kernels::fast
#endif
