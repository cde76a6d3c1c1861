// KernelTable for AVX2 and FMA: f32 rows, groups of 32 output rows.
#include <immintrin.h>

#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/read_loop.h"
#include "kernels/cpu/fast/row_loops.h"
#include "kernels/cpu/fast/tile_f32.h"

namespace turnpike::kernels::fast {
namespace {

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

    static I zero_bits() { return _mm256_setzero_si256(); }

    static I add_bits(I a, I b) { return _mm256_add_epi32(a, b); }

    static F low_bf16(I pair) { return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16)); }

    static F high_bf16(I pair) {
        return _mm256_castsi256_ps(
            _mm256_and_si256(pair, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U))));
    }

    // The byte that a left shift by kShift brings to the top, as f32 times 2^-120.
    template <int kShift>
    static F fp8_byte(I codes) {
        const I top = _mm256_srai_epi32(_mm256_slli_epi32(codes, kShift), 4);
        return _mm256_castsi256_ps(
            _mm256_and_si256(top, _mm256_set1_epi32(static_cast<int>(0x87F00000U))));
    }
};

KernelTable make_table() {
    KernelTable table = RowLoops<Avx2>::table();
    table.isa = CpuIsa::kAvx2;
    table.vector_lanes = Avx2::kLanes;
    table.group_lanes = 4 * Avx2::kLanes;
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
