// What the ops read and write: views of row-major matrices in a backend's memory, and weights that
// a backend has taken into a layout of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "config/base/check.h"

namespace turnpike::kernels {

enum class DType : std::uint8_t { kF32, kBf16, kF16, kF8E4M3 };

constexpr std::size_t dtype_bytes(DType dtype) {
    switch (dtype) {
        case DType::kF32:
            return 4;
        case DType::kBf16:
        case DType::kF16:
            return 2;
        case DType::kF8E4M3:
            return 1;
    }
    return 0;
}

// The names of the safetensors format: "F32", "BF16", "F16", "F8_E4M3".
constexpr const char* to_string(DType dtype) {
    switch (dtype) {
        case DType::kF32:
            return "F32";
        case DType::kBf16:
            return "BF16";
        case DType::kF16:
            return "F16";
        case DType::kF8E4M3:
            return "F8_E4M3";
    }
    return "?";
}

// Memory of a backend, aligned to 64 bytes, freed with the object. On a device the address is the
// device's.
class Buffer {
  public:
    virtual ~Buffer() = default;
    virtual void* data() = 0;
    virtual std::size_t num_bytes() const = 0;
};

// [rows, cols], row-major, `stride` elements from row to row. Does not own; never outlives its
// buffer.
struct MatrixView {
    void* data = nullptr;
    DType dtype = DType::kF32;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t stride = 0;

    // Rows first .. first + count.
    MatrixView row_range(std::int64_t first, std::int64_t count) const {
        CHECK(first >= 0 && count >= 0 && first + count <= rows);
        const auto skipped = static_cast<std::size_t>(first * stride) * dtype_bytes(dtype);
        return {static_cast<std::byte*>(data) + skipped, dtype, count, cols, stride};
    }

    // Columns first .. first + count of every row.
    MatrixView col_range(std::int64_t first, std::int64_t count) const {
        CHECK(first >= 0 && count >= 0 && first + count <= cols);
        const auto skipped = static_cast<std::size_t>(first) * dtype_bytes(dtype);
        return {static_cast<std::byte*>(data) + skipped, dtype, rows, count, stride};
    }
};

// A weight as a checkpoint stores it, in host memory at any alignment: [rows, cols] = [out, in],
// row-major, little-endian. A vector is one row.
struct WeightSource {
    std::string name;  // for messages
    const std::byte* data = nullptr;
    DType dtype = DType::kF32;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    // kF8E4M3 only: f32 [ceil(rows / 128), ceil(cols / 128)]; weight = code * scale of its block.
    const std::byte* scales = nullptr;
    // Rows of the tensor that this is a part of; 0 = it is the whole. They alone decide in what
    // precision a backend keeps it, so that a part gives the bits of the whole.
    std::int64_t tensor_rows = 0;

    std::int64_t whole_rows() const { return tensor_rows > 0 ? tensor_rows : rows; }
};

// A weight in a backend's own layout, made by Backend::prepare*. Give it to no other backend.
class PreparedWeight {
  public:
    virtual ~PreparedWeight() = default;
    virtual std::int64_t rows() const = 0;
    virtual std::int64_t cols() const = 0;
};

}  // namespace turnpike::kernels
