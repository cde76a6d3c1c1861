// Experts in w8a8_block numerics, streaming their packed weights: the decode path, which also
// serves prompts. The definition is kernels/cpu/reference/moe.h. All launch on `stream`, none
// waits.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// Experts on the rows of their slots, at the positions of RoutingView: the rows of one expert begin
// at a multiple of 8.
//
// coded at position p = the codes of x's row slot / num_chosen.
void gather_codes(const CodedRows& x,
                  const RoutingView& routing,
                  const CodedRows& coded,
                  cudaStream_t stream);
// out[p] = silu(gate_e x[p]) * (up_e x[p]), f32. experts: device memory; shape: one expert, whose
// pointers are not read.
void stream_gate_up(const CodedRows& x,
                    const RoutingView& routing,
                    const ExpertView* experts,
                    const ExpertView& shape,
                    MatrixView out,
                    cudaStream_t stream);
// Codes of the rows that hold a slot.
void quantise_positions(MatrixView x,
                        const RoutingView& routing,
                        const CodedRows& coded,
                        cudaStream_t stream);
// out[slot] = down_e x[p], [slots, hidden] f32.
void stream_down(const CodedRows& x,
                 const RoutingView& routing,
                 const ExpertView* experts,
                 const ExpertView& shape,
                 MatrixView out,
                 cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
