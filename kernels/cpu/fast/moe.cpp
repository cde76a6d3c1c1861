// See moe.h.
#include "kernels/cpu/fast/moe.h"

#include <algorithm>
#include <vector>

#include "config/base/check.h"
#include "kernels/api/own.h"

namespace turnpike::kernels::fast {
namespace {

constexpr int kMaxLanes = 64;

// The rows of one expert. `slots` are rows of the output, slot / num_chosen the row of x.
struct Load {
    const MlpWeights* weights = nullptr;
    std::vector<std::int64_t> slots;
    std::int64_t first = 0;  // of its rows among all, sorted by expert
    PackedRows input;
    PackedRows middle;

    std::int64_t num_rows() const { return static_cast<std::int64_t>(slots.size()); }
};

std::vector<Load> sort_by_expert(const Routing& routing, std::span<const MlpWeights> experts) {
    std::vector<Load> all(experts.size());
    for (std::size_t slot = 0; slot < routing.experts.size(); ++slot) {
        const auto expert = static_cast<std::size_t>(routing.experts[slot]);
        CHECK(expert < experts.size());
        all[expert].weights = &experts[expert];
        all[expert].slots.push_back(static_cast<std::int64_t>(slot));
    }
    std::erase_if(all, [](const Load& load) { return load.slots.empty(); });
    std::int64_t first = 0;
    for (Load& load : all) {
        load.first = first;
        first += load.num_rows();
    }
    return all;
}

// Runs body(load, begin, end) over the groups of all loads, each thread's first share being of
// about equal cost. groups: of each load. Item i is group i % groups of load i / groups.
template <class Body>
void run_by_cost(const Context& context,
                 const std::vector<Load>& loads,
                 std::int64_t groups,
                 std::int64_t work_of_row,
                 const Body& body) {
    static constexpr std::int64_t kWeightRows =
        4;  // reading a weight costs about as much as four rows
    const auto cost_of = [](const Load& load) {
        return std::max(load.num_rows(), std::int64_t{kWeightRows});
    };
    std::int64_t total = 0;
    for (const Load& load : loads) total += groups * cost_of(load);
    const std::int64_t count = groups * static_cast<std::int64_t>(loads.size());
    // The first item before which at least the part's share of the cost lies.
    const auto begin_of = [&](std::int64_t part, std::int64_t parts) {
        std::int64_t rest = total * part / parts;
        std::int64_t item = 0;
        for (const Load& load : loads) {
            const std::int64_t cost = cost_of(load);
            const std::int64_t inside = std::min((rest + cost - 1) / cost, groups);
            item += inside;
            if (inside < groups) break;
            rest = std::max<std::int64_t>(0, rest - groups * cost);
        }
        return item;
    };
    const auto run_items = [&](std::int64_t, std::int64_t begin, std::int64_t end) {
        for (std::int64_t item = begin; item < end;) {
            const std::int64_t load = item / groups;
            const std::int64_t stop = std::min(end, (load + 1) * groups);
            body(loads[static_cast<std::size_t>(load)], item - load * groups, stop - load * groups);
            item = stop;
        }
    };
    context.threads.run_shares(count, total * work_of_row / count, begin_of, run_items);
}

// One group of gate and the same of up: silu(gate) * up of the load's rows, to `middle`.
void gate_up(const Context& context, const Load& load, std::int64_t group, MatrixView middle) {
    const PackedMatrix& gate = packed(*load.weights->gate).matrix();
    const PackedMatrix& up = packed(*load.weights->up).matrix();
    alignas(64) float gates[kProductRows * kMaxLanes];
    alignas(64) float ups[kProductRows * kMaxLanes];
    const std::int64_t lanes = gate.lanes();
    const std::int64_t count = std::min(lanes, gate.rows() - group * lanes);
    for (std::int64_t first = 0; first < load.num_rows(); first += kProductRows) {
        PackedRows some = load.input.from(first);
        some.num_rows = std::min(some.num_rows, kProductRows);
        group_product(context.table, gate, group, some, false, gates);
        group_product(context.table, up, group, some, false, ups);
        for (std::int64_t m = 0; m < some.num_rows; ++m) {
            context.table.silu_mul(gates + m * lanes, ups + m * lanes, count,
                                   row_of(middle, load.first + first + m) + group * lanes);
        }
    }
}

// One group of down, to the load's slots of `out`.
void down(const Context& context, const Load& load, std::int64_t group, MatrixView out) {
    const PackedMatrix& weight = packed(*load.weights->down).matrix();
    alignas(64) float sums[kProductRows * kMaxLanes];
    const std::int64_t lanes = weight.lanes();
    const std::int64_t count = std::min(lanes, weight.rows() - group * lanes);
    for (std::int64_t first = 0; first < load.num_rows(); first += kProductRows) {
        PackedRows some = load.middle.from(first);
        some.num_rows = std::min(some.num_rows, kProductRows);
        group_product(context.table, weight, group, some, true, sums);
        for (std::int64_t m = 0; m < some.num_rows; ++m) {
            const std::int64_t slot = load.slots[static_cast<std::size_t>(first + m)];
            std::copy_n(sums + m * lanes, count, row_of(out, slot) + group * lanes);
        }
    }
}

// Packs each load's rows of x, one load after the other in `to`.
void pack_inputs(const Context& context,
                 MatrixView x,
                 RowFormat format,
                 std::int64_t num_chosen,
                 std::vector<Load>& loads,
                 std::byte* to) {
    const std::size_t bytes_per_row = packed_bytes(context.table, format, 1, x.cols);
    const auto pack_load = [&](Load& load) {
        std::byte* start = to + static_cast<std::size_t>(load.first) * bytes_per_row;
        load.input = packed_layout(context.table, format, load.num_rows(), x.cols, start);
        for (std::int64_t m = 0; m < load.num_rows(); ++m) {
            const std::int64_t from = load.slots[static_cast<std::size_t>(m)] / num_chosen;
            pack_part(context.table, format, x.row_range(from, 1), load.input, m, start);
        }
    };
    const std::int64_t work = x.cols * loads.back().num_rows();
    context.threads.run(static_cast<std::int64_t>(loads.size()), work,
                        [&](std::int64_t begin, std::int64_t end) {
                            for (std::int64_t i = begin; i < end; ++i)
                                pack_load(loads[static_cast<std::size_t>(i)]);
                        });
}

void pack_middles(const Context& context,
                  MatrixView middle,
                  RowFormat format,
                  std::vector<Load>& loads,
                  std::byte* to) {
    const std::size_t bytes_per_row = packed_bytes(context.table, format, 1, middle.cols);
    const std::int64_t work = middle.cols * loads.back().num_rows();
    context.threads.run(
        static_cast<std::int64_t>(loads.size()), work, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
                Load& load = loads[static_cast<std::size_t>(i)];
                load.middle =
                    pack_here(context.table, format, middle.row_range(load.first, load.num_rows()),
                              to + static_cast<std::size_t>(load.first) * bytes_per_row);
            }
        });
}

}  // namespace

const PackedWeight& packed(const PreparedWeight& weight) {
    return own<const PackedWeight>(weight);
}

void run_experts(const Context& context,
                 MoeScratch& scratch,
                 MatrixView x,
                 const Routing& routing,
                 std::span<const MlpWeights> experts,
                 MatrixView out) {
    CHECK(routing.rows == x.rows && out.rows == x.rows * routing.num_chosen && out.cols == x.cols);
    std::vector<Load> loads = sort_by_expert(routing, experts);
    if (loads.empty()) return;
    const PackedMatrix& gate = packed(*experts[0].gate).matrix();
    const PackedMatrix& down_weight = packed(*experts[0].down).matrix();
    std::byte* rows =
        scratch.rows.reserve(packed_bytes(context.table, gate.row_format(), out.rows, x.cols));
    pack_inputs(context, x, gate.row_format(), routing.num_chosen, loads, rows);
    const MatrixView middle{scratch.middle.reserve_as<float>(out.rows * gate.rows()), DType::kF32,
                            out.rows, gate.rows(), gate.rows()};
    run_by_cost(context, loads, gate.num_groups(), 2 * gate.lanes() * gate.cols(),
                [&](const Load& load, std::int64_t begin, std::int64_t end) {
                    for (std::int64_t g = begin; g < end; ++g) gate_up(context, load, g, middle);
                });
    std::byte* packed_middle = scratch.packed.reserve(
        packed_bytes(context.table, down_weight.row_format(), out.rows, middle.cols));
    pack_middles(context, middle, down_weight.row_format(), loads, packed_middle);
    run_by_cost(context, loads, down_weight.num_groups(), down_weight.lanes() * down_weight.cols(),
                [&](const Load& load, std::int64_t begin, std::int64_t end) {
                    for (std::int64_t g = begin; g < end; ++g) down(context, load, g, out);
                });
}

}  // namespace turnpike::kernels::fast
