// The CPU backends and the choice among them. Linked from kernels/cpu/fast.
#pragma once

#include <memory>
#include <string_view>

#include "kernels/api/backend.h"

namespace turnpike::kernels {

// Instruction sets that the CPU backends are written for, each including those before it. Rows are
// bitwise the same at any batch size and thread count of one of them, not across them.
enum class CpuIsa {
    kScalar,      // the reference, f32
    kAvx2,        // AVX2, FMA: f32 activations
    kAvx512,      // AVX-512 F, BW, DQ, VL: f32 activations
    kAvx512Bf16,  // with VBMI and BF16: activations rounded to BF16 at the entry of a linear
};

// "scalar", "avx2", "avx512", "avx512-bf16".
std::string_view to_string(CpuIsa isa);

// A name as above, or "auto" for detect_cpu_isa(). Errors: kInvalidArgument for another name and
// for a set that this machine does not have.
Result<CpuIsa> choose_cpu_isa(std::string_view name);

// The last of the list that this processor and its operating system run.
CpuIsa detect_cpu_isa();

// Cores that this process may run on: affinity counts, hyper-threads count as cores.
int num_allowed_cores();

// options.num_threads is cut to num_allowed_cores(). Errors: kInvalidArgument for fewer than one
// thread, or an isa that this machine does not have.
Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options, CpuIsa isa);

}  // namespace turnpike::kernels
