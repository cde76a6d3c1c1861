// FP8 E4M3FN and bfloat16 against their definitions.
#include "kernels/api/fp8.h"

#include <gtest/gtest.h>

#include <limits>

namespace turnpike::kernels {
namespace {

TEST(Fp8, DecodesTheCornersOfTheFormat) {
    EXPECT_EQ(fp8_to_float(0x00), 0.0F);
    EXPECT_TRUE(std::signbit(fp8_to_float(0x80)));
    EXPECT_EQ(fp8_to_float(0x01), 0x1p-9F);         // smallest subnormal
    EXPECT_EQ(fp8_to_float(0x07), 7.0F * 0x1p-9F);  // largest subnormal
    EXPECT_EQ(fp8_to_float(0x08), 0x1p-6F);         // smallest normal
    EXPECT_EQ(fp8_to_float(0x38), 1.0F);
    EXPECT_EQ(fp8_to_float(0x7E), 448.0F);
    EXPECT_EQ(fp8_to_float(0xFE), -448.0F);
    EXPECT_TRUE(std::isnan(fp8_to_float(0x7F)));
    EXPECT_TRUE(std::isnan(fp8_to_float(0xFF)));
}

TEST(Fp8, EncodingGivesBackEveryCode) {
    for (int code = 0; code < 256; ++code) {
        const auto byte = static_cast<std::uint8_t>(code);
        if ((byte & 0x7F) == 0x7F) continue;  // NaN
        EXPECT_EQ(fp8_from_float(fp8_to_float(byte)), byte) << code;
    }
}

TEST(Fp8, EncodingPicksTheNearestAndTiesGoToEven) {
    for (int code = 0; code < 0x7E; ++code) {
        const float low = fp8_to_float(static_cast<std::uint8_t>(code));
        const float high = fp8_to_float(static_cast<std::uint8_t>(code + 1));
        const float middle = (low + high) / 2.0F;  // exact: one bit more
        const int even = code % 2 == 0 ? code : code + 1;
        EXPECT_EQ(fp8_from_float(middle), even) << code;
        EXPECT_EQ(fp8_from_float(std::nextafter(middle, 0.0F)), code) << code;
        EXPECT_EQ(fp8_from_float(std::nextafter(middle, 1000.0F)), code + 1) << code;
        EXPECT_EQ(fp8_from_float(-middle), even | 0x80) << code;
    }
}

TEST(Fp8, EncodingSaturates) {
    EXPECT_EQ(fp8_from_float(1e9F), 0x7E);
    EXPECT_EQ(fp8_from_float(-1e9F), 0xFE);
    EXPECT_EQ(fp8_from_float(std::numeric_limits<float>::infinity()), 0x7E);
    EXPECT_EQ(fp8_from_float(std::numeric_limits<float>::quiet_NaN()), 0x7F);
}

TEST(Bf16, RoundsToNearestEven) {
    EXPECT_EQ(bf16_to_float(0x3F80), 1.0F);
    EXPECT_EQ(bf16_from_float(1.0F), 0x3F80);
    EXPECT_EQ(bf16_from_float(1.0F + 0x1p-8F), 0x3F80);         // a tie, to the even below
    EXPECT_EQ(bf16_from_float(1.0F + 3.0F * 0x1p-8F), 0x3F82);  // a tie, to the even above
    EXPECT_EQ(bf16_from_float(1.0F + 0x1p-8F + 0x1p-20F), 0x3F81);
    EXPECT_EQ(bf16_from_float(-2.5F), 0xC020);
}

}  // namespace
}  // namespace turnpike::kernels
