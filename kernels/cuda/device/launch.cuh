// Launching a kernel so that it may begin before the one ahead of it has ended (programmatic
// dependent launch, CUDA programming guide): it loads what does not depend on that one, its
// weights, and waits before it touches anything else. Every kernel launched so must
// wait_for_inputs() in every block.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "kernels/cuda/error.h"

namespace turnpike::kernels::cuda {

// Until the kernels ahead have ended and their writes are seen.
__device__ inline void wait_for_inputs() {
    asm volatile("griddepcontrol.wait;" ::: "memory");
}

// Lets the next kernel begin once every block of this one has said so or ended.
__device__ inline void let_next_begin() {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

struct Shape {
    dim3 grid;
    unsigned threads = 0;
    std::size_t shared_bytes = 0;
};

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...),
            const Shape& shape,
            cudaStream_t stream,
            Arguments... arguments) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = shape.grid;
    config.blockDim = dim3(shape.threads);
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
    CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

// Launches with clusters, and so that it may begin early.
template <class... Parameters, class... Arguments>
void launch_clusters(void (*kernel)(Parameters...),
                     const Shape& shape,
                     int cluster_size,
                     cudaStream_t stream,
                     Arguments... arguments) {
    CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shape.shared_bytes)));
    cudaLaunchAttribute attributes[2]{};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim = {static_cast<unsigned>(cluster_size), 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = shape.grid;
    config.blockDim = dim3(shape.threads);
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = 2;
    CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

}  // namespace turnpike::kernels::cuda
