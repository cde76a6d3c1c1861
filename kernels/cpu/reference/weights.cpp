// See weights.h.
#include "kernels/cpu/reference/weights.h"

#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "config/base/check.h"
#include "kernels/api/fp8.h"
#include "kernels/api/own.h"

namespace turnpike::kernels::reference {
namespace {

template <class T>
T load(const std::byte* data, std::int64_t index) {
    T value;
    std::memcpy(&value, data + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    return value;
}

constexpr std::int64_t num_blocks(std::int64_t count) {
    return (count + kFp8Block - 1) / kFp8Block;
}

std::array<float, 256> fp8_table() {
    std::array<float, 256> table{};
    for (std::size_t code = 0; code < table.size(); ++code) {
        table[code] = fp8_to_float(static_cast<std::uint8_t>(code));
    }
    return table;
}

void dequantise_fp8(const WeightSource& source, std::vector<float>& values) {
    const std::array<float, 256> table = fp8_table();
    const std::int64_t scale_cols = num_blocks(source.cols);
    for (std::int64_t r = 0; r < source.rows; ++r) {
        const std::int64_t scale_row = r / kFp8Block * scale_cols;
        for (std::int64_t c = 0; c < source.cols; ++c) {
            const auto code = load<std::uint8_t>(source.data, r * source.cols + c);
            const auto scale = load<float>(source.scales, scale_row + c / kFp8Block);
            values.push_back(table[code] * scale);
        }
    }
}

Status check_finite(const std::string& tensor,
                    const std::string& what,
                    const std::vector<float>& values,
                    std::int64_t num_cols) {
    const auto cols = static_cast<std::size_t>(num_cols);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (std::isfinite(values[i])) continue;
        return Error{ErrorCode::kCorrupt,
                     "tensor " + tensor + ": the " + what + " at [" + std::to_string(i / cols) +
                         ", " + std::to_string(i % cols) +
                         "] is not finite; the checkpoint is damaged",
                     {}};
    }
    return {};
}

}  // namespace

DenseWeight::DenseWeight(std::int64_t rows,
                         std::int64_t cols,
                         std::vector<float> values,
                         std::vector<float> scales)
    : rows_(rows), cols_(cols), values_(std::move(values)), scales_(std::move(scales)) {
    CHECK(static_cast<std::int64_t>(values_.size()) == rows * cols);
    const auto num_scales = static_cast<std::int64_t>(scales_.size());
    CHECK(num_scales == 0 || num_scales == num_blocks(rows) * num_blocks(cols));
}

const float* DenseWeight::scale_row(std::int64_t index) const {
    CHECK(is_block_scaled());
    return scales_.data() + index / kFp8Block * num_blocks(cols_);
}

const DenseWeight& dense(const PreparedWeight& weight) {
    return own<const DenseWeight>(weight);
}

Result<DenseWeight> dequantise(const WeightSource& source) {
    CHECK(source.rows > 0 && source.cols > 0 && source.data != nullptr);
    CHECK((source.dtype == DType::kF8E4M3) == (source.scales != nullptr));
    const std::int64_t count = source.rows * source.cols;
    std::vector<float> values;
    values.reserve(static_cast<std::size_t>(count));
    switch (source.dtype) {
        case DType::kF8E4M3:
            dequantise_fp8(source, values);
            break;
        case DType::kBf16:
            for (std::int64_t i = 0; i < count; ++i) {
                values.push_back(bf16_to_float(load<std::uint16_t>(source.data, i)));
            }
            break;
        case DType::kF16:
            for (std::int64_t i = 0; i < count; ++i) {
                values.push_back(f16_to_float(load<std::uint16_t>(source.data, i)));
            }
            break;
        case DType::kF32:
            for (std::int64_t i = 0; i < count; ++i) values.push_back(load<float>(source.data, i));
            break;
    }
    RETURN_IF_ERROR(check_finite(source.name, "value", values, source.cols));
    return DenseWeight(source.rows, source.cols, std::move(values));
}

Result<DenseWeight> keep_block_scales(const WeightSource& source) {
    CHECK(source.dtype == DType::kF8E4M3 && source.data != nullptr && source.scales != nullptr);
    const std::array<float, 256> table = fp8_table();
    const std::int64_t count = source.rows * source.cols;
    std::vector<float> values;
    values.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(table[load<std::uint8_t>(source.data, i)]);
    }
    const std::int64_t scale_cols = num_blocks(source.cols);
    std::vector<float> scales;
    for (std::int64_t i = 0; i < num_blocks(source.rows) * scale_cols; ++i) {
        scales.push_back(load<float>(source.scales, i));
    }
    RETURN_IF_ERROR(check_finite(source.name, "value", values, source.cols));
    RETURN_IF_ERROR(check_finite(source.name, "scale", scales, scale_cols));
    return DenseWeight(source.rows, source.cols, std::move(values), std::move(scales));
}

}  // namespace turnpike::kernels::reference
