// The router of a mixture of experts and the sum of its experts' outputs. The definition is
// kernels/cpu/reference/moe.h. Both launch on `stream`; neither waits.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/api/moe.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

inline constexpr std::int64_t kMaxExperts = 512;
inline constexpr std::int64_t kMaxChosen = 16;
inline constexpr std::int64_t kMaxGroups = 32;

// Whether route() takes the shape.
bool can_route(const RouterShape& shape);

// logits: [rows, num_experts] f32; bias: [num_experts] f32. Fills everything of out: within an
// expert, slots ascend. Where out.num_chosen is one more than shape's, the last choice of every row
// is expert shape.num_experts with weight 1: the shared one.
void route(MatrixView logits,
           const float* bias,
           const RouterShape& shape,
           const RoutingView& out,
           cudaStream_t stream);

// accumulator[r] += (sum over i, ascending, of weights[r, i] * expert_out[r * num_chosen + i]),
// plus shared[r] where it is given.
void combine_experts(MatrixView expert_out,
                     const RoutingView& routing,
                     MatrixView shared,
                     MatrixView accumulator,
                     cudaStream_t stream);
void combine_experts(MatrixView expert_out,
                     const RoutingView& routing,
                     MatrixView accumulator,
                     cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
