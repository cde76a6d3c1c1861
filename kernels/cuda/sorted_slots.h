// A routing's slots sorted by expert on the host, as RoutingView has them: a routing of the host
// may name a rank's experts only.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/moe.h"

namespace turnpike::kernels::cuda {

struct SortedSlots {
    SortedSlots(const Routing& routing, std::int64_t num_experts);

    std::vector<std::int32_t> order;
    std::vector<std::int32_t> offsets;    // [num_experts + 1]
    std::vector<std::int32_t> active;     // [num_experts]
    std::vector<std::int32_t> positions;  // [num_experts]
    std::vector<std::int32_t> slots;      // [max_positions()]
};

}  // namespace turnpike::kernels::cuda
