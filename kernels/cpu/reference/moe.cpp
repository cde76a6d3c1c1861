// See moe.h.
#include "kernels/cpu/reference/moe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "config/base/check.h"
#include "kernels/cpu/reference/linear.h"

namespace turnpike::kernels::reference {
namespace {

constexpr float kExcluded = -std::numeric_limits<float>::infinity();

// Index of the largest value, the lowest index on ties. The largest must be above -inf.
std::int64_t argmax(std::span<const float> values) {
    const auto best = std::max_element(values.begin(), values.end());
    CHECK(best != values.end() && *best > kExcluded);
    return best - values.begin();
}

// Sets everything to -inf but the groups with the largest sums of their two best scores.
void exclude_groups(std::vector<float>& scores, const RouterShape& shape) {
    const std::int64_t size = shape.num_experts / shape.num_groups;
    std::vector<float> sums;
    for (std::int64_t g = 0; g < shape.num_groups; ++g) {
        float best = kExcluded;
        float second = kExcluded;
        for (std::int64_t e = g * size; e < (g + 1) * size; ++e) {
            const float score = scores[static_cast<std::size_t>(e)];
            second = std::max(second, std::min(best, score));
            best = std::max(best, score);
        }
        sums.push_back(best + second);
    }
    std::vector<bool> is_kept(sums.size(), false);
    for (std::int64_t i = 0; i < shape.num_kept_groups; ++i) {
        const auto group = static_cast<std::size_t>(argmax(sums));
        is_kept[group] = true;
        sums[group] = kExcluded;
    }
    for (std::size_t e = 0; e < scores.size(); ++e) {
        if (!is_kept[e / static_cast<std::size_t>(size)]) scores[e] = kExcluded;
    }
}

void route_row(const float* logits, const float* bias, const RouterShape& shape, Routing& out) {
    const auto count = static_cast<std::size_t>(shape.num_experts);
    std::vector<float> scores(count);
    std::vector<float> biased(count);
    for (std::size_t e = 0; e < count; ++e) {
        scores[e] = 1.0F / (1.0F + std::exp(-logits[e]));
        biased[e] = scores[e] + bias[e];
    }
    exclude_groups(biased, shape);
    std::vector<std::int32_t> chosen;
    for (std::int64_t i = 0; i < shape.num_chosen; ++i) {
        const std::int64_t expert = argmax(biased);
        chosen.push_back(static_cast<std::int32_t>(expert));
        biased[static_cast<std::size_t>(expert)] = kExcluded;
    }
    std::sort(chosen.begin(), chosen.end());
    float sum = 0.0F;
    for (const std::int32_t expert : chosen) sum += scores[static_cast<std::size_t>(expert)];
    // 1e-20: as the published inference code guards the division.
    const float divisor = shape.is_normalised ? sum + 1e-20F : 1.0F;
    for (const std::int32_t expert : chosen) {
        out.experts.push_back(expert);
        out.weights.push_back(scores[static_cast<std::size_t>(expert)] / divisor * shape.scale);
    }
}

// A dense matrix of this file's own.
struct Scratch {
    Scratch(std::int64_t rows, std::int64_t cols)
        : values(static_cast<std::size_t>(rows * cols)),
          view{values.data(), DType::kF32, rows, cols, cols} {}

    std::vector<float> values;
    MatrixView view;
};

// One expert over the rows that chose it: `slots` are rows of `out`, slot / num_chosen the row of
// x.
void run_expert(ThreadPool& threads,
                MatrixView x,
                const MlpWeights& weights,
                std::span<const std::int64_t> slots,
                std::int64_t num_chosen,
                MatrixView out) {
    const auto rows = static_cast<std::int64_t>(slots.size());
    Scratch gathered(rows, x.cols);
    Scratch gate(rows, weights.gate->rows());
    Scratch up(rows, weights.up->rows());
    Scratch down(rows, weights.down->rows());
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t from = slots[static_cast<std::size_t>(r)] / num_chosen;
        std::copy_n(row_of(x, from), x.cols, row_of(gathered.view, r));
    }
    linear(threads, gathered.view, dense(*weights.gate), gate.view);
    linear(threads, gathered.view, dense(*weights.up), up.view);
    silu_mul(gate.view, up.view, gate.view);
    linear_split_k(threads, gate.view, dense(*weights.down), down.view);
    for (std::int64_t r = 0; r < rows; ++r) {
        std::copy_n(row_of(down.view, r), out.cols,
                    row_of(out, slots[static_cast<std::size_t>(r)]));
    }
}

}  // namespace

Routing route(MatrixView logits, const float* bias, const RouterShape& shape) {
    CHECK(logits.cols == shape.num_experts && shape.num_experts % shape.num_groups == 0);
    CHECK(shape.num_experts / shape.num_groups >= 2 && shape.num_kept_groups <= shape.num_groups);
    CHECK(shape.num_chosen <= shape.num_kept_groups * (shape.num_experts / shape.num_groups));
    Routing routing{logits.rows, shape.num_chosen, {}, {}};
    for (std::int64_t m = 0; m < logits.rows; ++m)
        route_row(row_of(logits, m), bias, shape, routing);
    return routing;
}

void run_experts(ThreadPool& threads,
                 MatrixView x,
                 const Routing& routing,
                 std::span<const MlpWeights> experts,
                 MatrixView out) {
    CHECK(routing.rows == x.rows && out.rows == x.rows * routing.num_chosen && out.cols == x.cols);
    std::vector<std::vector<std::int64_t>> slots(experts.size());
    for (std::size_t slot = 0; slot < routing.experts.size(); ++slot) {
        const auto expert = static_cast<std::size_t>(routing.experts[slot]);
        CHECK(expert < experts.size());
        slots[expert].push_back(static_cast<std::int64_t>(slot));
    }
    for (std::size_t e = 0; e < experts.size(); ++e) {
        if (slots[e].empty()) continue;
        run_expert(threads, x, experts[e], slots[e], routing.num_chosen, out);
    }
}

void combine_experts(MatrixView expert_out,
                     const Routing& routing,
                     MatrixView shared,
                     MatrixView accumulator) {
    combine_rows(expert_out, routing, shared, accumulator, 0, routing.rows);
}

void combine_rows(MatrixView expert_out,
                  const Routing& routing,
                  MatrixView shared,
                  MatrixView accumulator,
                  std::int64_t begin,
                  std::int64_t end) {
    CHECK(expert_out.rows == routing.rows * routing.num_chosen);
    CHECK(shared.rows == routing.rows && accumulator.rows == routing.rows);
    CHECK(expert_out.cols == shared.cols && accumulator.cols == shared.cols);
    CHECK(begin >= 0 && end <= routing.rows);
    for (std::int64_t m = begin; m < end; ++m) {
        const float* always = row_of(shared, m);
        float* to = row_of(accumulator, m);
        for (std::int64_t c = 0; c < shared.cols; ++c) {
            float sum = 0.0F;
            for (std::int64_t i = 0; i < routing.num_chosen; ++i) {
                const std::int64_t slot = m * routing.num_chosen + i;
                sum +=
                    routing.weights[static_cast<std::size_t>(slot)] * row_of(expert_out, slot)[c];
            }
            to[c] += sum + always[c];
        }
    }
}

}  // namespace turnpike::kernels::reference
