// Fixtures of the fast CPU backends' tests: one backend per instruction set of this machine beside
// the reference.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/api/cpu.h"
#include "kernels/api/cpu_reference.h"
#include "tests/unit/kernels/matrix.h"
#include "tests/unit/kernels/stored_weight.h"

namespace turnpike::kernels {

// Relative L2 distance to the reference: BF16 activations cost 1.6e-3, f32 sums in another order
// less than 1e-6.
constexpr double kBf16Tolerance = 4e-3;
constexpr double kF32Tolerance = 2e-6;

inline double tolerance_of(CpuIsa isa) {
    return isa == CpuIsa::kAvx512Bf16 ? kBf16Tolerance : kF32Tolerance;
}

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
