// Parts of a weight hold the whole's values, each under its own scale.
#include "engine/model/weight_slice.h"

#include <gtest/gtest.h>

#include <cstring>

namespace turnpike::engine {
namespace {

using kernels::DType;
using kernels::WeightSource;

constexpr std::int64_t kRows = 300;
constexpr std::int64_t kCols = 400;
constexpr std::int64_t kScaleCols = 4;

struct Coded {
    std::vector<std::uint8_t> codes;
    std::vector<float> scales;

    Coded() {
        for (std::int64_t i = 0; i < kRows * kCols; ++i)
            codes.push_back(static_cast<std::uint8_t>(i % 120));
        for (int i = 0; i < 3 * kScaleCols; ++i) scales.push_back(static_cast<float>(i));
    }

    WeightSource source() const {
        WeightSource source;
        source.name = "w";
        source.data = reinterpret_cast<const std::byte*>(codes.data());
        source.dtype = DType::kF8E4M3;
        source.rows = kRows;
        source.cols = kCols;
        source.scales = reinterpret_cast<const std::byte*>(scales.data());
        return source;
    }
};

float scale_of(const WeightSource& source, std::int64_t row, std::int64_t col) {
    float scale = 0.0F;
    const std::int64_t index = row / 128 * ((source.cols + 127) / 128) + col / 128;
    std::memcpy(&scale, source.scales + index * 4, 4);
    return scale;
}

void expect_part(const WeightSource& part, std::int64_t first_row, std::int64_t first_col) {
    const Coded whole;
    const WeightSource source = whole.source();
    for (std::int64_t r = 0; r < part.rows; ++r) {
        for (std::int64_t c = 0; c < part.cols; ++c) {
            ASSERT_EQ(part.data[r * part.cols + c],
                      source.data[(first_row + r) * kCols + first_col + c]);
            ASSERT_EQ(scale_of(part, r, c), scale_of(source, first_row + r, first_col + c));
        }
    }
}

TEST(WeightSlice, RowsKeepTheirScales) {
    const Coded whole;
    const WeightSource part = row_slice(whole.source(), {128, 300});
    EXPECT_EQ(part.rows, 172);
    EXPECT_EQ(part.whole_rows(), kRows);
    expect_part(part, 128, 0);
    EXPECT_EQ(row_slice(whole.source(), {0, kRows}).data, whole.source().data);
}

TEST(WeightSlice, ColumnsKeepTheirScales) {
    const Coded whole;
    for (const Range columns : {Range{0, 128}, Range{128, 384}, Range{256, 400}}) {
        const ColumnSlice part = column_slice(whole.source(), columns);
        EXPECT_EQ(part.source.cols, columns.size());
        EXPECT_EQ(part.source.rows, kRows);
        EXPECT_EQ(part.source.whole_rows(), kRows);
        expect_part(part.source, 0, columns.begin);
    }
}

TEST(WeightSlice, OtherDtypesAreCutAnywhere) {
    const std::vector<std::uint16_t> values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    WeightSource source;
    source.data = reinterpret_cast<const std::byte*>(values.data());
    source.dtype = DType::kBf16;
    source.rows = 3;
    source.cols = 4;
    const ColumnSlice part = column_slice(source, {1, 3});
    const std::vector<std::uint16_t> expected{1, 2, 5, 6, 9, 10};
    ASSERT_EQ(part.values.size(), expected.size() * 2);
    EXPECT_EQ(std::memcmp(part.values.data(), expected.data(), part.values.size()), 0);
    EXPECT_EQ(row_slice(source, {2, 3}).data, source.data + 16);
}

}  // namespace
}  // namespace turnpike::engine
