// The expert ops of the reference backend. DeepSeek-V3 inference/model.py, Gate, Expert and MoE.
#pragma once

#include <span>

#include "kernels/api/moe.h"
#include "kernels/cpu/reference/weights.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels::reference {

// logits: [rows, num_experts]; bias: [num_experts].
Routing route(MatrixView logits, const float* bias, const RouterShape& shape);
void run_experts(ThreadPool& threads,
                 MatrixView x,
                 const Routing& routing,
                 std::span<const MlpWeights> experts,
                 MatrixView out);
void combine_experts(MatrixView expert_out,
                     const Routing& routing,
                     MatrixView shared,
                     MatrixView accumulator);
// Of rows [begin, end) alone.
void combine_rows(MatrixView expert_out,
                  const Routing& routing,
                  MatrixView shared,
                  MatrixView accumulator,
                  std::int64_t begin,
                  std::int64_t end);

}  // namespace turnpike::kernels::reference
