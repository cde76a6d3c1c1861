// What this processor runs; see kernels/api/cpu.h.
#include <sched.h>

#include <string>

#include "kernels/api/cpu.h"

namespace turnpike::kernels {
namespace {

constexpr CpuIsa kAll[] = {CpuIsa::kScalar, CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Bf16};

}  // namespace

std::string_view to_string(CpuIsa isa) {
    switch (isa) {
        case CpuIsa::kScalar:
            return "scalar";
        case CpuIsa::kAvx2:
            return "avx2";
        case CpuIsa::kAvx512:
            return "avx512";
        case CpuIsa::kAvx512Bf16:
            return "avx512-bf16";
    }
    return "?";
}

CpuIsa detect_cpu_isa() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CpuIsa::kScalar;
    const bool has_avx512 =
        __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (!has_avx512) return CpuIsa::kAvx2;
    if (!__builtin_cpu_supports("avx512vbmi") || !__builtin_cpu_supports("avx512bf16"))
        return CpuIsa::kAvx512;
    return CpuIsa::kAvx512Bf16;
#else
    return CpuIsa::kScalar;
#endif
}

Result<CpuIsa> choose_cpu_isa(std::string_view name) {
    const CpuIsa best = detect_cpu_isa();
    if (name == "auto") return best;
    for (const CpuIsa isa : kAll) {
        if (to_string(isa) != name) continue;
        if (isa <= best) return isa;
        return invalid_argument("this machine has no " + std::string(name) + ", its best is " +
                                    std::string(to_string(best)) + "; set auto",
                                "isa");
    }
    return invalid_argument(
        "expected auto, scalar, avx2, avx512 or avx512-bf16, found '" + std::string(name) + "'",
        "isa");
}

int num_allowed_cores() {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
    return CPU_COUNT(&cores);
}

}  // namespace turnpike::kernels
