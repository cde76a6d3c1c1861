// See sorted_slots.h.
#include "kernels/cuda/sorted_slots.h"

#include "config/base/check.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

SortedSlots::SortedSlots(const Routing& routing, std::int64_t num_experts)
    : order(routing.experts.size()), offsets(static_cast<std::size_t>(num_experts) + 1) {
    for (const std::int32_t expert : routing.experts) {
        CHECK(expert >= 0 && expert < num_experts);
        ++offsets[static_cast<std::size_t>(expert) + 1];
    }
    for (std::size_t e = 1; e < offsets.size(); ++e) offsets[e] += offsets[e - 1];
    std::vector<std::int32_t> next(offsets.begin(), offsets.end() - 1);
    for (std::size_t slot = 0; slot < order.size(); ++slot) {
        std::int32_t& at = next[static_cast<std::size_t>(routing.experts[slot])];
        order[static_cast<std::size_t>(at++)] = static_cast<std::int32_t>(slot);
    }
    for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
        positions.push_back(static_cast<std::int32_t>(slots.size()));
        if (offsets[e] == offsets[e + 1]) continue;
        active.push_back(static_cast<std::int32_t>(e));
        slots.insert(slots.end(), order.begin() + offsets[e], order.begin() + offsets[e + 1]);
        slots.resize((slots.size() + 7) / 8 * 8, -1);
    }
    RoutingView view;
    view.rows = routing.rows;
    view.num_chosen = routing.num_chosen;
    view.num_experts = num_experts;
    active.resize(static_cast<std::size_t>(num_experts), -1);
    slots.resize(static_cast<std::size_t>(view.max_positions()), -1);
}

}  // namespace turnpike::kernels::cuda
