// The reference backend: scalar f32 on the CPU, the definition of every op. Linked from
// kernels/cpu/reference.
#pragma once

#include <memory>

#include "kernels/api/backend.h"

namespace turnpike::kernels {

// Errors: kInvalidArgument for fewer than one thread.
Result<std::unique_ptr<Backend>> make_cpu_reference_backend(const BackendOptions& options);

}  // namespace turnpike::kernels
