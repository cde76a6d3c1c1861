// Test matrices: f32 values with a view, filled from a seed.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/tensor.h"

namespace turnpike::kernels {

// Uniform in [-1, 1), the same on every machine.
inline float test_value(std::uint64_t seed, std::uint64_t index) {
    std::uint64_t value = seed * 0x9E3779B97F4A7C15U + index * 0xD1B54A32D192ED03U + 1;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
    return static_cast<float>((value ^ (value >> 31)) >> 40) * 0x1p-23F - 1.0F;
}

struct Matrix {
    Matrix(std::int64_t num_rows, std::int64_t num_cols, std::uint64_t seed = 0)
        : rows(num_rows), cols(num_cols), values(static_cast<std::size_t>(num_rows * num_cols)) {
        if (seed == 0) return;
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = test_value(seed, i);
    }

    MatrixView view() { return {values.data(), DType::kF32, rows, cols, cols}; }

    float& at(std::int64_t r, std::int64_t c) {
        return values[static_cast<std::size_t>(r * cols + c)];
    }

    float at(std::int64_t r, std::int64_t c) const {
        return values[static_cast<std::size_t>(r * cols + c)];
    }

    std::int64_t rows;
    std::int64_t cols;
    std::vector<float> values;
};

// As a checkpoint would hold it. The matrix outlives the source.
inline WeightSource f32_source(const Matrix& matrix) {
    WeightSource source;
    source.name = "test";
    source.data = reinterpret_cast<const std::byte*>(matrix.values.data());
    source.dtype = DType::kF32;
    source.rows = matrix.rows;
    source.cols = matrix.cols;
    return source;
}

}  // namespace turnpike::kernels
