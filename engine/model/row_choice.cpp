#include "engine/model/row_choice.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "config/base/check.h"

namespace turnpike::engine {
namespace {

using Slices = std::vector<kernels::AttentionSlice>;

// The chosen rows of each slice, consecutive ones together. Slices of a list do not overlap, but
// need not be in the order of their rows.
Slices choose(const Slices& slices, std::span<const std::int64_t> chosen) {
    Slices result;
    for (const kernels::AttentionSlice& slice : slices) {
        const auto first = std::lower_bound(chosen.begin(), chosen.end(), slice.first_row);
        const auto end = std::lower_bound(first, chosen.end(), slice.first_row + slice.num_rows);
        for (auto row = first; row != end; ++row) {
            const bool follows = row != first && *row == *std::prev(row) + 1;
            if (follows) {
                ++result.back().num_rows;
                continue;
            }
            result.push_back({row - chosen.begin(), 1,
                              slice.first_position + *row - slice.first_row, slice.block_table});
        }
    }
    return result;
}

}  // namespace

ForwardRows choose_rows(const ForwardRows& rows, std::span<const std::int64_t> chosen) {
    CHECK(std::adjacent_find(chosen.begin(), chosen.end(), std::greater_equal<>()) == chosen.end());
    ForwardRows result;
    for (const std::int64_t row : chosen) {
        result.tokens.push_back(rows.tokens.at(static_cast<std::size_t>(row)));
        result.positions.push_back(rows.positions.at(static_cast<std::size_t>(row)));
    }
    result.prompt_slices = choose(rows.prompt_slices, chosen);
    result.generated_slices = choose(rows.generated_slices, chosen);
    std::int64_t pool_end = 0;
    auto next = chosen.begin();
    for (const std::int64_t count : rows.pool_rows) {
        pool_end += count;
        const auto end = std::lower_bound(next, chosen.end(), pool_end);
        result.pool_rows.push_back(end - next);
        next = end;
    }
    return result;
}

}  // namespace turnpike::engine
