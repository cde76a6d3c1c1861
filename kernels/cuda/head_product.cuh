// A product of its own for every head: the two moves of MLA's absorbed form.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// Per head h and its row n of weights, out[:, h * out_head_stride + n] = that row times x[:, h *
// x_head_stride ...].
struct HeadProduct {
    WeightView weight;           // BF16
    std::int64_t rows_per_head;  // a multiple of kHeadRows
    std::int64_t used_rows;      // of rows_per_head
    std::int64_t x_head_stride;
    std::int64_t out_head_stride;
};

// f32 rows, taken in two BF16 parts. Launches on `stream`, does not wait.
void head_product(const HeadProduct& call, MatrixView x, MatrixView out, cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
