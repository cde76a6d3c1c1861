// See weight_slice.h.
#include "engine/model/weight_slice.h"

#include <cstring>

#include "config/base/check.h"
#include "kernels/api/fp8.h"

namespace turnpike::engine {
namespace {

using kernels::kFp8Block;
using kernels::WeightSource;

std::int64_t num_blocks(std::int64_t count) {
    return (count + kFp8Block - 1) / kFp8Block;
}

// Columns [begin, end) of a matrix of `rows` x `cols` elements.
std::vector<std::byte> copy_columns(const std::byte* data,
                                    std::size_t element_bytes,
                                    std::int64_t rows,
                                    std::int64_t cols,
                                    Range columns) {
    const std::size_t row_bytes = static_cast<std::size_t>(columns.size()) * element_bytes;
    std::vector<std::byte> copy(static_cast<std::size_t>(rows) * row_bytes);
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto from = static_cast<std::size_t>(row * cols + columns.begin) * element_bytes;
        std::memcpy(copy.data() + static_cast<std::size_t>(row) * row_bytes, data + from,
                    row_bytes);
    }
    return copy;
}

}  // namespace

WeightSource row_slice(const WeightSource& source, Range rows) {
    CHECK(rows.begin >= 0 && rows.size() > 0 && rows.end <= source.rows);
    WeightSource slice = source;
    slice.tensor_rows = source.rows;
    slice.rows = rows.size();
    slice.data += static_cast<std::size_t>(rows.begin * source.cols) * dtype_bytes(source.dtype);
    if (source.scales == nullptr) return slice;
    CHECK(rows.begin % kFp8Block == 0);
    slice.scales +=
        static_cast<std::size_t>(rows.begin / kFp8Block * num_blocks(source.cols)) * sizeof(float);
    return slice;
}

ColumnSlice column_slice(const WeightSource& source, Range columns) {
    CHECK(columns.begin >= 0 && columns.size() > 0 && columns.end <= source.cols);
    ColumnSlice slice;
    slice.source = source;
    slice.source.cols = columns.size();
    slice.values =
        copy_columns(source.data, dtype_bytes(source.dtype), source.rows, source.cols, columns);
    slice.source.data = slice.values.data();
    if (source.scales == nullptr) return slice;
    CHECK(columns.begin % kFp8Block == 0);
    slice.scales =
        copy_columns(source.scales, sizeof(float), num_blocks(source.rows), num_blocks(source.cols),
                     {columns.begin / kFp8Block, num_blocks(columns.end)});
    slice.source.scales = slice.scales.data();
    return slice;
}

}  // namespace turnpike::engine
