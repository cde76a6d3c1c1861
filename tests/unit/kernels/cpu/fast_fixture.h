// Fixtures of the fast CPU backends' tests: one backend per instruction set of this machine beside
// the reference, and weights as checkpoints store them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kernels/api/cpu.h"
#include "kernels/api/cpu_reference.h"
#include "kernels/api/fp8.h"
#include "tests/unit/kernels/cpu/matrix.h"

namespace turnpike::kernels {

// Relative L2 distance to the reference: BF16 activations cost 1.6e-3, f32 sums in another order
// less than 1e-6.
constexpr double kBf16Tolerance = 4e-3;
constexpr double kF32Tolerance = 2e-6;

inline double tolerance_of(CpuIsa isa) {
    return isa == CpuIsa::kAvx512Bf16 ? kBf16Tolerance : kF32Tolerance;
}

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

class FastBackendTest : public testing::TestWithParam<CpuIsa> {
  protected:
    void SetUp() override {
        reference_ = *make_cpu_reference_backend({});
        fast_ = make(1);
    }

    std::unique_ptr<Backend> make(int num_threads, Numerics numerics = Numerics::kW8A16) const {
        return *make_cpu_backend({numerics, num_threads}, GetParam());
    }

    std::unique_ptr<Backend> reference_;
    std::unique_ptr<Backend> fast_;
};

inline std::string isa_name(const testing::TestParamInfo<CpuIsa>& info) {
    std::string name(to_string(info.param));
    std::erase(name, '-');
    return name;
}

// Those that this machine runs.
inline auto every_fast_isa() {
    std::vector<CpuIsa> sets;
    for (const CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Bf16}) {
        if (isa <= detect_cpu_isa()) sets.push_back(isa);
    }
    return testing::ValuesIn(sets);
}

}  // namespace turnpike::kernels
