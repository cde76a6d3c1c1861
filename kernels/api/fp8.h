// The number formats of checkpoints: FP8 E4M3FN (OCP FP8 v1.0), bfloat16 and IEEE half, to and from
// f32. Pure functions with one right answer, so every backend and the checkpoint writer share them.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace turnpike::kernels {

inline constexpr float kFp8Max = 448.0F;  // largest finite e4m3: 1.75 * 2^8
inline constexpr int kFp8Block = 128;     // rows and columns under one scale

// E4M3FN has no infinity; 0x7F and 0xFF are NaN.
inline float fp8_to_float(std::uint8_t code) {
    const int exponent = (code >> 3) & 0xF;
    const int mantissa = code & 0x7;
    float magnitude = 0.0F;
    if (exponent == 15 && mantissa == 7) {
        magnitude = std::bit_cast<float>(0x7FC00000U);
    } else if (exponent == 0) {
        magnitude = std::ldexp(static_cast<float>(mantissa), -9);
    } else {
        magnitude = std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    }
    return (code & 0x80) != 0 ? -magnitude : magnitude;
}

// Round to nearest, ties to even; saturates at 448. NaN gives 0x7F.
inline std::uint8_t fp8_from_float(float value) {
    const std::uint8_t sign = std::signbit(value) ? 0x80 : 0x00;
    if (std::isnan(value)) return 0x7F;
    const float magnitude = std::fabs(value);
    if (magnitude >= kFp8Max) return static_cast<std::uint8_t>(sign | 0x7E);
    // The spacing is 2^(exponent - 3), and 2^-9 in the subnormal range below 2^-6.
    int exponent = -6;
    if (magnitude >= 0x1p-6F) exponent = std::ilogb(magnitude);
    const float steps = std::ldexp(magnitude, 3 - exponent);  // exact: a power of two
    const int whole = static_cast<int>(steps);
    const float rest = steps - static_cast<float>(whole);
    const bool rounds_up = rest > 0.5F || (rest == 0.5F && (whole & 1) != 0);
    // Codes grow with the magnitude, so a carry out of the mantissa lands in the exponent by
    // itself.
    const int base = (exponent + 6) * 8;
    return static_cast<std::uint8_t>(sign | (base + whole + (rounds_up ? 1 : 0)));
}

// The scale of 128 activations of one row, of which `largest` is the largest magnitude: the codes
// are fp8_from_float(x / scale). DeepSeek-V3 inference/kernel.py, act_quant: the bound keeps a row
// of zeros from dividing by zero.
inline float activation_scale(float largest) {
    constexpr float kSmallestMaximum = 1e-4F;
    return std::max(largest, kSmallestMaximum) / kFp8Max;
}

// IEEE half precision, subnormals, infinities and NaN included.
inline float f16_to_float(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 0x1F;
    const int mantissa = bits & 0x3FF;
    float magnitude = 0.0F;
    if (exponent == 31) {
        magnitude = std::bit_cast<float>(0x7F800000U | static_cast<std::uint32_t>(mantissa) << 13);
    } else if (exponent == 0) {
        magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    } else {
        magnitude = std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
    }
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

inline float bf16_to_float(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// Round to nearest, ties to even. For finite values.
inline std::uint16_t bf16_from_float(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounding = 0x7FFFU + ((bits >> 16) & 1U);
    return static_cast<std::uint16_t>((bits + rounding) >> 16);
}

}  // namespace turnpike::kernels
