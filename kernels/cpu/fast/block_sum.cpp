// See block_sum.h.
#include "kernels/cpu/fast/block_sum.h"

#include <algorithm>
#include <limits>

namespace turnpike::kernels::fast {
namespace {

constexpr std::int64_t kTokens = kCacheBlockTokens;
constexpr std::int64_t kMaxLanes = 64;

std::int64_t round_to_vector(const KernelTable& table, std::int64_t value) {
    return (value + table.vector_lanes - 1) / table.vector_lanes * table.vector_lanes;
}

}  // namespace

std::int64_t BlockSum::num_bytes(const KernelTable& table, const Shape& shape) {
    const std::int64_t units = padded_units(table, shape.key_dim);
    const std::int64_t values = round_to_vector(table, shape.value_dim);
    return Carver::bytes_for(shape.num_rows * units) + 2 * Carver::bytes_for(shape.num_rows) +
           Carver::bytes_for(shape.num_rows * values) + Carver::bytes_for(units * kTokens) +
           Carver::bytes_for(values * kTokens) + 2 * Carver::bytes_for(kRowChunk * kTokens) +
           Carver::bytes_for(kRowChunk * kMaxLanes);
}

BlockSum::BlockSum(const KernelTable& table, const Shape& shape, Carver& carver)
    : table_(table),
      shape_(shape),
      query_units_(padded_units(table, shape.key_dim)),
      padded_values_(round_to_vector(table, shape.value_dim)),
      queries_(carver.take<std::uint32_t>(shape.num_rows * query_units_)),
      max_(carver.take<float>(shape.num_rows)),
      total_(carver.take<float>(shape.num_rows)),
      sums_(carver.take<float>(shape.num_rows * padded_values_)),
      keys_(carver.take<std::uint32_t>(query_units_ * kTokens)),
      values_(carver.take<std::uint32_t>(padded_values_ * kTokens)),
      scores_(carver.take<float>(kRowChunk * kTokens)),
      weights_(carver.take<std::uint32_t>(kRowChunk * kTokens)),
      block_sums_(carver.take<float>(kRowChunk * kMaxLanes)) {}

void BlockSum::begin() {
    std::fill_n(max_, shape_.num_rows, -std::numeric_limits<float>::infinity());
    std::fill_n(total_, shape_.num_rows, 0.0F);
    std::fill_n(sums_, shape_.num_rows * padded_values_, 0.0F);
}

void BlockSum::add(std::int64_t start, std::int64_t count) {
    const std::int64_t first =
        std::max<std::int64_t>(start - shape_.first_position, 0) * shape_.rows_per_position;
    for (std::int64_t row = first; row < shape_.num_rows; row += kRowChunk)
        add_chunk(start, count, row, std::min(kRowChunk, shape_.num_rows - row));
}

void BlockSum::add_chunk(std::int64_t start,
                         std::int64_t tokens,
                         std::int64_t first,
                         std::int64_t count) {
    const std::int64_t lanes = token_lanes();
    const std::int64_t weight_units = act_units(table_, kTokens);
    for (std::int64_t t = 0; t < kTokens; t += lanes) {
        table_.tile(act_call(table_, keys(t), lanes, queries_ + first * query_units_,
                             query_units_ * 4, count, shape_.key_dim, scores_ + t * kRowChunk));
    }
    MergeScales scales[kRowChunk];
    for (std::int64_t r = 0; r < count; ++r) {
        const std::int64_t seen = std::min(kTokens, position(first + r) + 1 - start);
        float row[kTokens];
        for (std::int64_t t = 0; t < kTokens; t += lanes)
            std::copy_n(scores_ + t * kRowChunk + r * lanes, lanes, row + t);
        const auto part =
            table_.softmax64(row, seen, shape_.softmax_scale, weights_ + r * weight_units);
        scales[r] = merge_softmax(max_[first + r], total_[first + r], part);
    }
    for (std::int64_t v = 0; v < padded_values_; v += table_.group_lanes) {
        const std::int64_t width = value_lanes(v);
        table_.tile(act_call(table_, values(v), width, weights_, weight_units * 4, count, tokens,
                             block_sums_));
        for (std::int64_t r = 0; r < count; ++r) {
            table_.merge(sums_ + (first + r) * padded_values_ + v, scales[r].old_scale,
                         block_sums_ + r * width, scales[r].new_scale, width);
        }
    }
}

void BlockSum::read(std::int64_t row, float* out) const {
    for (std::int64_t i = 0; i < shape_.value_dim; ++i)
        out[i] = sums_[row * padded_values_ + i] / total_[row];
}

}  // namespace turnpike::kernels::fast
