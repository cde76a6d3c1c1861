// CUDA_CHECK: a CUDA call that must not fail. Errors of a context are sticky, so a failure is a
// broken invariant: the process says what failed and dies.
#pragma once

#include <cuda_runtime_api.h>

#include "config/base/check.h"

// Launch errors: CUDA_CHECK(cudaGetLastError()) after the launch.
#define CUDA_CHECK(call)                                                                   \
    do {                                                                                   \
        const cudaError_t cuda_check_status = (call);                                      \
        if (cuda_check_status != cudaSuccess) {                                            \
            ::turnpike::kernels::cuda::fail(#call, cuda_check_status, __FILE__, __LINE__); \
        }                                                                                  \
    } while (false)

namespace turnpike::kernels::cuda {

[[noreturn]] void fail(const char* call, cudaError_t status, const char* file, int line);

}  // namespace turnpike::kernels::cuda
