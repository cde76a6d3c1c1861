// Attention over latent rows of R1's shape (512 and 64 rotated) on the tensor cores: the kernel
// behind attend() where the shape is that.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/device/partials.cuh"

namespace turnpike::kernels::cuda {

bool is_latent_layout(const HeadLayout& layout);

// Heads that one block takes: 16, 32 or 64.
std::int64_t latent_heads_per_block(const HeadLayout& layout);

// Fills the partial sums of every row, head and split, to be combined. False: out has the results
// already.
bool attend_latent(const AttentionCall& call,
                   const Partials& partials,
                   MatrixView out,
                   cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
