// The backend that a model runs on, by name.
#pragma once

#include <memory>
#include <string>

#include "kernels/api/backend.h"
#include "kernels/api/probe.h"

namespace turnpike::engine {

// The name of the CUDA backend where an instruction set is asked for.
inline constexpr char kCudaName[] = "cuda";

// isa: a name of kernels::choose_cpu_isa(), or "cuda". Errors: kInvalidArgument for a name that is
// not known or a CPU that lacks the set; kUnavailable for "cuda" without a device, or in a build
// without it.
Result<std::unique_ptr<kernels::Backend>> make_backend(const std::string& isa,
                                                       const kernels::BackendOptions& options);

// What that backend is measured beside. Errors as make_backend().
Result<std::unique_ptr<kernels::Probe>> make_probe(const std::string& isa, int num_threads);

// Whether make_backend("cuda") would find a device.
bool has_cuda_device();

// The PCI bus id of that device, as NVML knows it. Errors as make_backend().
Result<std::string> gpu_bus_id();

}  // namespace turnpike::engine
