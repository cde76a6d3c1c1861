// See make_backend.h.
#include "engine/model/make_backend.h"

#include "kernels/api/cpu.h"
#ifdef TURNPIKE_HAS_CUDA
#include "kernels/api/cuda.h"
#endif

namespace turnpike::engine {

#ifdef TURNPIKE_HAS_CUDA

bool has_cuda_device() {
    return kernels::find_cuda_device().has_value();
}

#else

bool has_cuda_device() {
    return false;
}

#endif

namespace {

#ifndef TURNPIKE_HAS_CUDA
Error built_without_cuda() {
    return Error{ErrorCode::kUnavailable,
                 "this turnpike-engine was built without CUDA: configure with "
                 "-D TURNPIKE_CUDA=ON, or use a CPU instruction set",
                 "isa"};
}
#endif

}  // namespace

Result<std::string> gpu_bus_id() {
#ifdef TURNPIKE_HAS_CUDA
    const auto device = kernels::find_cuda_device();
    if (!device) return device.error();
    return device->pci_bus_id;
#else
    return built_without_cuda();
#endif
}

Result<std::unique_ptr<kernels::Backend>> make_backend(const std::string& isa,
                                                       const kernels::BackendOptions& options) {
    if (isa == kCudaName) {
#ifdef TURNPIKE_HAS_CUDA
        return kernels::make_cuda_backend(options);
#else
        return built_without_cuda();
#endif
    }
    const auto set = kernels::choose_cpu_isa(isa);
    if (!set) return set.error();
    return kernels::make_cpu_backend(options, *set);
}

Result<std::unique_ptr<kernels::Probe>> make_probe(const std::string& isa, int num_threads) {
    if (isa == kCudaName) {
#ifdef TURNPIKE_HAS_CUDA
        const auto device = kernels::find_cuda_device();
        if (!device) return device.error();
        return kernels::make_cuda_probe();
#else
        return built_without_cuda();
#endif
    }
    const auto set = kernels::choose_cpu_isa(isa);
    if (!set) return set.error();
    return kernels::make_cpu_probe(*set, num_threads);
}

}  // namespace turnpike::engine
