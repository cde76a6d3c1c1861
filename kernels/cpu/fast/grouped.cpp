// Grouped-query attention: the query heads of one key/value head are rows of one sum, and keys and
// values come from the cache as they are.
#include <algorithm>

#include "config/base/check.h"
#include "kernels/cpu/fast/block_sum.h"

namespace turnpike::kernels::fast {
namespace {

constexpr std::int64_t kTokens = kCacheBlockTokens;

void check_call(const GroupedCall& call) {
    const GqaShape& shape = call.shape;
    CHECK(shape.num_kv_heads > 0 && shape.num_heads % shape.num_kv_heads == 0);
    CHECK(shape.head_dim % 2 == 0);
    CHECK(call.queries.cols == shape.query_width() && call.out.cols == shape.query_width());
    CHECK(call.cache.shape().row_dim == shape.cache_dim());
    check_slices(call.slices, call.queries.rows);
}

BlockSum::Shape sum_shape(const GqaShape& shape, const AttentionSlice& slice) {
    const std::int64_t group = shape.num_heads / shape.num_kv_heads;
    return {slice.num_rows * group, group,          slice.first_position,
            shape.head_dim,         shape.head_dim, shape.softmax_scale};
}

void attend_head(const KernelTable& table,
                 const GroupedCall& call,
                 const AttentionSlice& slice,
                 std::int64_t kv_head,
                 BlockSum& sum) {
    const GqaShape& shape = call.shape;
    const std::int64_t group = shape.num_heads / shape.num_kv_heads;
    const std::int64_t units = padded_units(table, shape.head_dim);
    const std::int64_t first_column = kv_head * group * shape.head_dim;
    for (std::int64_t r = 0; r < slice.num_rows; ++r) {
        pack_act(table, row_of(call.queries, slice.first_row + r) + first_column, shape.head_dim,
                 group, shape.head_dim, sum.queries() + r * group * units);
    }
    sum.begin();
    const std::int64_t row_bytes = call.cache.row_bytes();
    const std::int64_t value_bytes = table.is_paired ? 2 : 4;
    const std::int64_t lanes = sum.token_lanes();
    const std::int64_t last = slice.first_position + slice.num_rows - 1;
    for (std::int64_t start = 0; start <= last; start += kTokens) {
        const std::int64_t count = std::min(kTokens, last + 1 - start);
        const std::int32_t block = slice.block_table[static_cast<std::size_t>(start / kTokens)];
        const std::byte* keys =
            call.cache.row(call.layer, block, 0) + kv_head * shape.head_dim * value_bytes;
        const std::byte* values = keys + shape.kv_width() * value_bytes;
        for (std::int64_t t = 0; t < kTokens; t += lanes) {
            table.transpose(reinterpret_cast<const std::uint32_t*>(keys + t * row_bytes),
                            row_bytes / 4, std::clamp<std::int64_t>(count - t, 0, lanes),
                            act_units(table, shape.head_dim), sum.keys(t), lanes);
        }
        for (std::int64_t v = 0; v < sum.padded_values(); v += table.group_lanes) {
            table.rows_to_weights(values + v * value_bytes, row_bytes, count, sum.value_lanes(v),
                                  sum.values(v));
        }
        sum.add(start, count);
    }
    for (std::int64_t i = 0; i < slice.num_rows * group; ++i) {
        sum.read(i, row_of(call.out, slice.first_row + i / group) + first_column +
                        i % group * shape.head_dim);
    }
}

}  // namespace

void attend_grouped(const Context& context, AttentionScratch& scratch, const GroupedCall& call) {
    check_call(call);
    for (const AttentionSlice& slice : call.slices) {
        const BlockSum::Shape shape = sum_shape(call.shape, slice);
        const std::int64_t head_work = shape.num_rows * kTokens * call.shape.head_dim;
        const auto run_heads = [&](std::int64_t thread, std::int64_t begin, std::int64_t end) {
            Scratch& memory = scratch.of_thread[static_cast<std::size_t>(thread)];
            Carver carver(memory.reserve(
                static_cast<std::size_t>(BlockSum::num_bytes(context.table, shape))));
            BlockSum sum(context.table, shape, carver);
            for (std::int64_t h = begin; h < end; ++h)
                attend_head(context.table, call, slice, h, sum);
        };
        context.threads.run_on_threads(call.shape.num_kv_heads, head_work, run_heads);
    }
}

}  // namespace turnpike::kernels::fast
