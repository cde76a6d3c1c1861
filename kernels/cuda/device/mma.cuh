// Warp-level matrix products (PTX ISA, mma.sync): a 16-row tile of weights times 8 rows of x.
//
// Registers: lane = 4 * g + t. Of A a lane holds rows g and g + 8, of B column g; of C rows g and
// g + 8, columns 2t and 2t + 1. Which k a register stands for does not matter as long as A and B
// agree, so a lane takes 16 neighbouring bytes of its rows.
#pragma once

#include <cstdint>

namespace turnpike::kernels::cuda {

// Four FP8 codes to two words of F16, exactly. Hopper has no mma.sync for FP8: the compiler would
// convert the operands of every single product.
__device__ inline void fp8_to_f16(std::uint32_t codes, std::uint32_t& low, std::uint32_t& high) {
    asm("{\n\t.reg .b16 first, second;\n\t"
        "mov.b32 {first, second}, %2;\n\t"
        "cvt.rn.f16x2.e4m3x2 %0, first;\n\t"
        "cvt.rn.f16x2.e4m3x2 %1, second;\n\t}"
        : "=r"(low), "=r"(high)
        : "r"(codes));
}

// c += a * b over 16 F16 values.
__device__ inline void mma_f16(float (&c)[4],
                               std::uint32_t a0,
                               std::uint32_t a1,
                               std::uint32_t a2,
                               std::uint32_t a3,
                               std::uint32_t b0,
                               std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// c += a * b over 16 BF16 values.
__device__ inline void mma_bf16(float (&c)[4],
                                std::uint32_t a0,
                                std::uint32_t a1,
                                std::uint32_t a2,
                                std::uint32_t a3,
                                std::uint32_t b0,
                                std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

}  // namespace turnpike::kernels::cuda
