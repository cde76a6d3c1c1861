// Weights as checkpoints store them, and the distance of results.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/api/fp8.h"
#include "kernels/api/tensor.h"
#include "tests/unit/kernels/matrix.h"

namespace turnpike::kernels {

// sqrt(sum (a - b)^2 / sum b^2).
inline double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0.0;
    double total = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
        total += std::pow(static_cast<double>(b[i]), 2);
    }
    return std::sqrt(difference / std::max(total, 1e-30));
}

// A stored matrix of any format, values about uniform in [-1, 1), with its bytes.
struct StoredWeight {
    StoredWeight(DType dtype, std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
        const std::int64_t count = rows * cols;
        for (std::int64_t i = 0; i < count; ++i) {
            const float value = test_value(seed, static_cast<std::uint64_t>(i));
            if (dtype == DType::kF8E4M3) {
                bytes.push_back(static_cast<std::byte>(fp8_from_float(value * 448.0F)));
            } else if (dtype == DType::kBf16) {
                const std::uint16_t bits = bf16_from_float(value);
                bytes.push_back(static_cast<std::byte>(bits & 0xFF));
                bytes.push_back(static_cast<std::byte>(bits >> 8));
            } else {
                const auto* from = reinterpret_cast<const std::byte*>(&value);
                bytes.insert(bytes.end(), from, from + 4);
            }
        }
        source.name = "weight";
        source.dtype = dtype;
        source.rows = rows;
        source.cols = cols;
        source.data = bytes.data();
        if (dtype != DType::kF8E4M3) return;
        const std::int64_t blocks = ((rows + 127) / 128) * ((cols + 127) / 128);
        for (std::int64_t b = 0; b < blocks; ++b) {
            // One block is all zero, as in real checkpoints.
            const float spread = 1.5F + test_value(seed + 1, static_cast<std::uint64_t>(b));
            scales.push_back(b == 1 ? 0.0F : spread / 448.0F);
        }
        source.scales = reinterpret_cast<const std::byte*>(scales.data());
    }

    StoredWeight(const StoredWeight&) = delete;
    StoredWeight& operator=(const StoredWeight&) = delete;

    std::vector<std::byte> bytes;
    std::vector<float> scales;
    WeightSource source;
};

}  // namespace turnpike::kernels
