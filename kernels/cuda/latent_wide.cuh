// Attention over latent rows of R1's shape for blocks of 64 heads, on the warpgroup tensor cores.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/device/partials.cuh"

namespace turnpike::kernels::cuda {

// Fills the partial sums of every row, head and split; of one split, writes the results to out
// [rows, num_heads * 512]. The layout is is_latent_layout().
void attend_wide(const AttentionCall& call,
                 const Partials& partials,
                 MatrixView out,
                 cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
