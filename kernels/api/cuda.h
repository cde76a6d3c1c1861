// The CUDA backend. Linked from kernels/cuda where that is built.
#pragma once

#include <memory>
#include <string>

#include "kernels/api/backend.h"
#include "kernels/api/probe.h"

namespace turnpike::kernels {

// What the driver tells of a device.
struct CudaDevice {
    std::string name;
    int num_multiprocessors = 0;
    std::int64_t memory_bytes = 0;
    std::int64_t free_bytes = 0;
    std::string pci_bus_id{};  // "0000:18:00.0"
};

// Errors: kUnavailable without a driver or device, kInvalidArgument for one that is not of compute
// capability 9.0 (Hopper): the kernels use instructions of sm_90a alone.
Result<CudaDevice> find_cuda_device(int index = 0);

// Activations are f32, the cache BF16, weights as they are stored; kv_b_proj and the query and
// result of attention go through BF16. options.num_threads is not used. A row's bits do not depend
// on the other rows of a call. An error of the device ends the process. Errors as find_cuda_device.
Result<std::unique_ptr<Backend>> make_cuda_backend(const BackendOptions& options, int device = 0);

// Its read loop and its FP8 tensor cores, of the device that find_cuda_device() chose. Holds 2 GiB.
std::unique_ptr<Probe> make_cuda_probe();

}  // namespace turnpike::kernels
