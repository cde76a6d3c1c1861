// Linears in w8a16 numerics, f32 rows against weights as they are stored, and the experts of such
// models; stream_linear.h and stream_experts.h have the path of w8a8_block, and BF16 linears. A
// warp multiplies 16 rows of weights by up to 64 rows of x on the tensor cores; up to eight warps
// share a tile's K, and their sums are added in ascending order. The cuts depend on the weight
// alone, so a row's bits are the same whatever other rows there are: the same kernel runs for any
// number of rows, 64 at a time. The definition is kernels/cpu/reference/linear.h. All launch on
// `stream`, none waits.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// FP8 weights against x in two BF16 parts, F16 and F32 weights in f32. x.cols is weight.cols.
// out: [x.rows, weight.rows] f32.
void linear_small(MatrixView x, const WeightView& weight, MatrixView out, cudaStream_t stream);

// Experts: slot s of the routing takes row s / num_chosen of x for gate and up, and row s for down;
// its result is row s of the output. Experts without a slot cost nothing. FP8 or BF16 weights.
// experts: device memory; shape: one expert, whose pointers are not read.
//
// out[s] = silu(gate_e x) * (up_e x), [slots, intermediate] f32, e the expert of slot s.
void experts_gate_up(MatrixView x,
                     const RoutingView& routing,
                     const ExpertView* experts,
                     const ExpertView& shape,
                     MatrixView out,
                     cudaStream_t stream);
// out[s] = down_e x[s], [slots, hidden] f32.
void experts_down(MatrixView x,
                  const RoutingView& routing,
                  const ExpertView* experts,
                  const ExpertView& shape,
                  MatrixView out,
                  cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
