// Warpgroup matrix products from shared memory (PTX ISA, "Asynchronous Warpgroup Level Matrix
// Multiply-Accumulate Instructions"). A warpgroup is four warps that follow each other, the first a
// multiple of four. Also the split of a block's registers among its warpgroups.
#pragma once

#include <cstdint>

namespace turnpike::kernels::cuda {

// Strips of 8 rows of 128 bytes, 1 KB each, one behind the other: K-major in the 128-byte swizzle.
// address: of shared memory, a multiple of 1,024, plus the bytes into K, below 128.
__device__ inline std::uint64_t strips_descriptor(std::uint32_t address) {
    constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62;
    constexpr std::uint64_t kStripStride = std::uint64_t{1024 / 16} << 32;
    constexpr std::uint64_t kUnused = std::uint64_t{1} << 16;
    return kSwizzle128 | kStripStride | kUnused | (address & 0x3FFFF) >> 4;
}

// The same strips read the other way: 8 of K a strip, 64 columns of BF16 in its lines, the next 64
// columns a tile of 64 rows (8 KB) further.
__device__ inline std::uint64_t columns_descriptor(std::uint32_t address) {
    constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62;
    constexpr std::uint64_t kStripStride = std::uint64_t{1024 / 16} << 32;
    constexpr std::uint64_t kColumnsStride = std::uint64_t{8192 / 16} << 16;
    return kSwizzle128 | kStripStride | kColumnsStride | (address & 0x3FFFF) >> 4;
}

// Registers written before are seen by the products that follow.
__device__ inline void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ inline void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most kPending of the warpgroup's groups of products are under way.
template <int kPending>
__device__ inline void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Keeps the compiler from moving uses of the sums across.
template <int kCount>
__device__ inline void keep_in_place(float (&sums)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

#define TURNPIKE_SUMS_4(d, i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define TURNPIKE_SUMS_16(d, i)                                                       \
    TURNPIKE_SUMS_4(d, i), TURNPIKE_SUMS_4(d, (i) + 4), TURNPIKE_SUMS_4(d, (i) + 8), \
        TURNPIKE_SUMS_4(d, (i) + 12)

#define TURNPIKE_NAMES_32                                    \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define TURNPIKE_NAMES_64                                                   \
    TURNPIKE_NAMES_32                                                       \
        ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define TURNPIKE_NAMES_128                                                             \
    TURNPIKE_NAMES_64                                                                  \
        ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"            \
        "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"             \
        "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111," \
        "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define TURNPIKE_SUMS_128(d)                                                       \
    TURNPIKE_SUMS_16(d, 0), TURNPIKE_SUMS_16(d, 16), TURNPIKE_SUMS_16(d, 32),      \
        TURNPIKE_SUMS_16(d, 48), TURNPIKE_SUMS_16(d, 64), TURNPIKE_SUMS_16(d, 80), \
        TURNPIKE_SUMS_16(d, 96), TURNPIKE_SUMS_16(d, 112)

// The products below: thread 32 w + 4 g + t of the warpgroup holds at d[4 j + 2 h + c] row 16 w +
// 8 h + g, column 8 j + 2 t + c of the sums. Of `a` in registers it holds, as BF16 pairs, columns
// 2 t and 2 t + 1 of rows g and g + 8 of its warp's 16, then those 8 columns further.

// d [64 x 128] = a [64 x 32] b [128 x 32]^T, plus d when kAdds; FP8 (E4M3).
template <bool kAdds>
__device__ inline void wgmma_fp8(float (&d)[64], std::uint64_t a, std::uint64_t b) {
    asm volatile(
        "{\n\t.reg .pred adds;\n\tsetp.ne.b32 adds, %66, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 "
        "{" TURNPIKE_NAMES_64
        "}, "
        "%64, %65, adds, 1, 1;\n\t}"
        : TURNPIKE_SUMS_16(d, 0), TURNPIKE_SUMS_16(d, 16), TURNPIKE_SUMS_16(d, 32),
          TURNPIKE_SUMS_16(d, 48)
        : "l"(a), "l"(b), "n"(kAdds ? 1 : 0));
}

// d [64 x 64] = a [64 x 16] b [64 x 16]^T, plus d when kAdds; BF16.
template <bool kAdds>
__device__ inline void wgmma_bf16(float (&d)[32], std::uint64_t a, std::uint64_t b) {
    asm volatile(
        "{\n\t.reg .pred adds;\n\tsetp.ne.b32 adds, %34, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{" TURNPIKE_NAMES_32
        "}, "
        "%32, %33, adds, 1, 1, 0, 0;\n\t}"
        : TURNPIKE_SUMS_16(d, 0), TURNPIKE_SUMS_16(d, 16)
        : "l"(a), "l"(b), "n"(kAdds ? 1 : 0));
}

// d += a b^T, a in registers.
__device__ inline void wgmma_bf16(float (&d)[32], const std::uint32_t (&a)[4], std::uint64_t b) {
    asm volatile(
        "{\n\t.reg .pred adds;\n\tsetp.eq.u32 adds, 0, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{" TURNPIKE_NAMES_32
        "}, "
        "{%32,%33,%34,%35}, %36, adds, 1, 1, 0;\n\t}"
        : TURNPIKE_SUMS_16(d, 0), TURNPIKE_SUMS_16(d, 16)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// d [64 x 256] += a [64 x 16] b [16 x 256]; BF16, b by columns_descriptor().
__device__ inline void wgmma_bf16(float (&d)[128], std::uint64_t a, std::uint64_t b) {
    asm volatile(
        "{\n\t.reg .pred adds;\n\tsetp.eq.u32 adds, 0, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
        "{" TURNPIKE_NAMES_128
        "}, "
        "%128, %129, adds, 1, 1, 0, 1;\n\t}"
        : TURNPIKE_SUMS_128(d)
        : "l"(a), "l"(b));
}

__device__ inline void wgmma_bf16(float (&d)[128], const std::uint32_t (&a)[4], std::uint64_t b) {
    asm volatile(
        "{\n\t.reg .pred adds;\n\tsetp.eq.u32 adds, 0, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
        "{" TURNPIKE_NAMES_128
        "}, "
        "{%128,%129,%130,%131}, %132, adds, 1, 1, 1;\n\t}"
        : TURNPIKE_SUMS_128(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#undef TURNPIKE_SUMS_128
#undef TURNPIKE_NAMES_128
#undef TURNPIKE_NAMES_64
#undef TURNPIKE_NAMES_32
#undef TURNPIKE_SUMS_16
#undef TURNPIKE_SUMS_4

// Gives registers of this warpgroup back, or takes them: each warpgroup of the block names its own
// number in a branch of its own, and together they fit in the multiprocessor's 65,536.
template <int kCount>
__device__ inline void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}

template <int kCount>
__device__ inline void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

}  // namespace turnpike::kernels::cuda
