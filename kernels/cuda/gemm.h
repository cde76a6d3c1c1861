// FP8 block-scaled matrix products for prompts, on the warpgroup tensor cores: linears of many rows
// and experts of many rows each. A product over 128 channels is summed by the tensor cores, scaled
// by both scales and added in f32 (DeepSeek-V3, section 3.3.2); the order of K is that of the
// columns, whatever the number of rows. stream_linear.h and stream_experts.h have the path of few
// rows. The definitions are kernels/cpu/reference/{linear,moe}.h. All launch on `stream`, none
// waits.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// From so many rows an expert on gemm_gate_up() is faster than stream_gate_up(). Of linears,
// linear_plan.h says.
inline constexpr std::int64_t kGemmRowsPerExpert = 24;

// w8a8_block: FP8 weights. out: [x.rows, weight.rows] f32.
void gemm(const CodedRows& x, const WeightView& weight, MatrixView out, cudaStream_t stream);

// By gemm() or stream_linear(), whichever is faster; deterministic by stream_linear() alone.
void coded_linear(const CodedRows& x,
                  const WeightView& weight,
                  MatrixView out,
                  bool is_deterministic,
                  cudaStream_t stream);

// As stream_gate_up() and stream_down(): rows at the positions of the routing.
void gemm_gate_up(const CodedRows& x,
                  const RoutingView& routing,
                  const ExpertView* experts,
                  const ExpertView& shape,
                  MatrixView out,
                  cudaStream_t stream);
void gemm_down(const CodedRows& x,
               const RoutingView& routing,
               const ExpertView* experts,
               const ExpertView& shape,
               MatrixView out,
               cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
