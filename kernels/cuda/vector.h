// Row-wise ops of the CUDA backend: embedding, gather, RMSNorm, SwiGLU, sums, and FP8 quantisation,
// alone or fused behind a norm or SwiGLU. A row's bits depend on that row alone.
// The definition is kernels/cpu/reference/linear.h. Views are f32 in device memory. Each launches
// on `stream` and neither allocates nor waits.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// out[i] = table[tokens[i]]; tokens: device memory, out.rows of them.
void embed(const std::int32_t* tokens,
           const WeightView& table,
           MatrixView out,
           cudaStream_t stream);
// out[i] = x[rows[i]]; rows: device memory, out.rows of them.
void gather_rows(MatrixView x, const std::int64_t* rows, MatrixView out, cudaStream_t stream);
// x may be out. weight: [x.cols] f32.
void rms_norm(
    MatrixView x, const float* weight, float epsilon, MatrixView out, cudaStream_t stream);
// accumulator += x, then out = rms_norm() of it.
void add_norm(MatrixView x,
              MatrixView accumulator,
              const float* weight,
              float epsilon,
              MatrixView out,
              cudaStream_t stream);
// Each of num_heads runs of `width` columns by itself, in place. weight: [width] f32.
void rms_norm_heads(MatrixView x,
                    std::int64_t num_heads,
                    std::int64_t width,
                    const float* weight,
                    float epsilon,
                    cudaStream_t stream);
// silu(a) = a / (1 + exp(-a)); out may be gate.
void silu_mul(MatrixView gate, MatrixView up, MatrixView out, cudaStream_t stream);
void add(MatrixView x, MatrixView accumulator, cudaStream_t stream);

// Codes and scales as kernels/api/fp8.h's activation_scale and fp8_from_float have them.
void quantise(MatrixView x, const CodedRows& coded, cudaStream_t stream);
void rms_norm_quantise(
    MatrixView x, const float* weight, float epsilon, const CodedRows& coded, cudaStream_t stream);
void silu_mul_quantise(MatrixView gate, MatrixView up, const CodedRows& coded, cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
