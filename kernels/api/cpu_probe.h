// What this machine can do at best, beside which the CPU backends are measured. The caller takes
// the time.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/api/cpu.h"

namespace turnpike::kernels {

class CpuProbe {
  public:
    virtual ~CpuProbe() = default;
    // Reads memory much larger than the caches once, on all threads. Returns the bytes.
    virtual std::int64_t read() = 0;
    // Multiplies and adds in registers for some milliseconds, on all threads, as the isa's linears
    // do. Returns the floating-point operations.
    virtual std::int64_t multiply() = 0;
};

// num_threads is cut to num_allowed_cores(). kScalar is measured with what the machine has.
std::unique_ptr<CpuProbe> make_cpu_probe(CpuIsa isa, int num_threads);

}  // namespace turnpike::kernels
