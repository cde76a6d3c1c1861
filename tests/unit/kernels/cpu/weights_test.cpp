// Dequantising: scale blocks, partial blocks, unaligned data, values that are not finite.
#include "kernels/cpu/reference/weights.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/api/fp8.h"
#include "tests/unit/kernels/matrix.h"

namespace turnpike::kernels::reference {
namespace {

struct Fp8Weight {
    Fp8Weight(std::int64_t num_rows, std::int64_t num_cols) : rows(num_rows), cols(num_cols) {
        for (std::int64_t i = 0; i < rows * cols; ++i) {
            codes.push_back(static_cast<std::uint8_t>(i * 7 % 0x7F));
        }
        for (std::int64_t i = 0; i < (rows + 127) / 128 * ((cols + 127) / 128); ++i) {
            scales.push_back(static_cast<float>(i + 1) * 0.25F);
        }
    }

    WeightSource source() const {
        WeightSource result;
        result.name = "model.test.weight";
        result.data = reinterpret_cast<const std::byte*>(codes.data());
        result.dtype = DType::kF8E4M3;
        result.rows = rows;
        result.cols = cols;
        result.scales = reinterpret_cast<const std::byte*>(scales.data());
        return result;
    }

    std::int64_t rows, cols;
    std::vector<std::uint8_t> codes;
    std::vector<float> scales;
};

TEST(Dequantise, TakesEachElementTimesTheScaleOfItsBlock) {
    const Fp8Weight weight(192, 300);  // one and a half blocks by two and a third
    const auto values = dequantise(weight.source());
    ASSERT_TRUE(values);
    for (std::int64_t r = 0; r < 192; ++r) {
        for (std::int64_t c = 0; c < 300; ++c) {
            const auto i = static_cast<std::size_t>(r * 300 + c);
            const float scale = weight.scales[static_cast<std::size_t>(r / 128 * 3 + c / 128)];
            ASSERT_EQ(values->row(r)[c], fp8_to_float(weight.codes[i]) * scale);
        }
    }
}

TEST(Dequantise, RefusesNanCodesByNameAndPlace) {
    Fp8Weight weight(2, 130);
    weight.codes[130 + 5] = 0x7F;
    const auto values = dequantise(weight.source());
    ASSERT_FALSE(values);
    EXPECT_EQ(values.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(values.error().message.find("model.test.weight"), std::string::npos);
    EXPECT_NE(values.error().message.find("[1, 5]"), std::string::npos);
}

TEST(Dequantise, RefusesScalesThatAreNotFinite) {
    Fp8Weight weight(2, 130);
    weight.scales[1] = std::numeric_limits<float>::infinity();
    EXPECT_FALSE(dequantise(weight.source()));
}

void expect_numbers(const WeightSource& source, const float (&numbers)[3]) {
    const auto weight = dequantise(source);
    ASSERT_TRUE(weight);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(weight->row(0)[i], numbers[i]) << i;
}

TEST(KeepBlockScales, PartsTheCodesFromTheirScales) {
    const Fp8Weight weight(192, 300);
    const auto kept = keep_block_scales(weight.source());
    ASSERT_TRUE(kept);
    ASSERT_TRUE(kept->is_block_scaled());
    for (std::int64_t r = 0; r < 192; ++r) {
        for (std::int64_t b = 0; b < 3; ++b) {
            ASSERT_EQ(kept->scale_row(r)[b],
                      weight.scales[static_cast<std::size_t>(r / 128 * 3 + b)]);
        }
        ASSERT_EQ(kept->row(r)[7],
                  fp8_to_float(weight.codes[static_cast<std::size_t>(r * 300 + 7)]));
    }
}

TEST(KeepBlockScales, RefusesWhatIsNotFinite) {
    Fp8Weight weight(2, 130);
    weight.codes[130 + 5] = 0xFF;
    EXPECT_NE(keep_block_scales(weight.source()).error().message.find("value at [1, 5]"),
              std::string::npos);
    weight.codes[130 + 5] = 0;
    weight.scales[1] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_NE(keep_block_scales(weight.source()).error().message.find("scale at [0, 1]"),
              std::string::npos);
}

TEST(Dequantise, ReadsBf16F16AndF32AtAnyAddress) {
    const float numbers[3] = {1.5F, -2.0F, 0.25F};
    std::byte raw[1 + sizeof numbers];
    std::memcpy(raw + 1, numbers, sizeof numbers);
    WeightSource source;
    source.data = raw + 1;
    source.dtype = DType::kF32;
    source.rows = 1;
    source.cols = 3;
    expect_numbers(source, numbers);

    for (std::size_t i = 0; i < 3; ++i) {
        const std::uint16_t bits = bf16_from_float(numbers[i]);
        std::memcpy(raw + 1 + 2 * i, &bits, 2);
    }
    source.dtype = DType::kBf16;
    expect_numbers(source, numbers);

    const std::uint16_t halves[3] = {0x3E00, 0xC000, 0x3400};
    std::memcpy(raw + 1, halves, sizeof halves);
    source.dtype = DType::kF16;
    expect_numbers(source, numbers);
}

}  // namespace
}  // namespace turnpike::kernels::reference
