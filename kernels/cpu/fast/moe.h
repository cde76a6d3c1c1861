// Routed experts: rows sorted by expert, each expert's weights read once, work split over the
// threads by its cost and not by the number of experts.
#pragma once

#include <span>

#include "kernels/api/moe.h"
#include "kernels/cpu/fast/linear.h"

namespace turnpike::kernels::fast {

struct MoeScratch {
    Scratch rows;    // x, packed, by expert
    Scratch middle;  // silu(gate) * up, by slot
    Scratch packed;  // the same, packed
};

// out: [rows * num_chosen, hidden], as backend.h says.
void run_experts(const Context& context,
                 MoeScratch& scratch,
                 MatrixView x,
                 const Routing& routing,
                 std::span<const MlpWeights> experts,
                 MatrixView out);

// The weight as this backend prepared it; another backend's is a bug of the caller.
const PackedWeight& packed(const PreparedWeight& weight);

}  // namespace turnpike::kernels::fast
