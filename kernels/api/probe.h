// What a machine can do at best, beside which the backends are measured. The caller takes the time.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/api/cpu.h"

namespace turnpike::kernels {

class Probe {
  public:
    virtual ~Probe() = default;
    // Reads memory much larger than the caches once. Returns the bytes.
    virtual std::int64_t read() = 0;
    // Multiplies and adds for some milliseconds on operands that lie at hand, as the backend's
    // linears do. Returns the floating-point operations.
    virtual std::int64_t multiply() = 0;
};

// On all threads; num_threads is cut to num_allowed_cores(). kScalar is measured with what the
// machine has.
std::unique_ptr<Probe> make_cpu_probe(CpuIsa isa, int num_threads);

}  // namespace turnpike::kernels
