// See grouped_attention.h.
#include "kernels/cpu/reference/grouped_attention.h"

#include <algorithm>

#include "config/base/check.h"
#include "kernels/cpu/reference/linear.h"
#include "kernels/cpu/reference/softmax_sum.h"

namespace turnpike::kernels::reference {
namespace {

void check_call(const GroupedCall& call) {
    const GqaShape& shape = call.shape;
    CHECK(shape.num_kv_heads > 0 && shape.num_heads % shape.num_kv_heads == 0);
    CHECK(call.queries.cols == shape.query_width() && call.out.cols == shape.query_width());
    CHECK(call.cache.shape().row_dim == shape.cache_dim());
    check_slices(call.slices, call.queries.rows);
}

// One query head of one row, block by block of the cache.
void attend_row(const GroupedCall& call,
                const AttentionSlice& slice,
                std::int64_t r,
                std::int64_t head) {
    const GqaShape& shape = call.shape;
    const std::int64_t position = slice.first_position + r;
    const float* query = row_of(call.queries, slice.first_row + r) + head * shape.head_dim;
    const std::int64_t key_offset = head / (shape.num_heads / shape.num_kv_heads) * shape.head_dim;
    SoftmaxSum sum;
    sum.values.assign(static_cast<std::size_t>(shape.head_dim), 0.0F);
    std::vector<float> scratch(sum.values.size());
    float scores[kCacheBlockTokens];
    for (std::int64_t start = 0; start <= position; start += kCacheBlockTokens) {
        const std::int32_t block =
            slice.block_table[static_cast<std::size_t>(start / kCacheBlockTokens)];
        const std::int64_t seen = std::min<std::int64_t>(kCacheBlockTokens, position + 1 - start);
        for (std::int64_t t = 0; t < seen; ++t) {
            const float* key = call.cache.row(call.layer, block, t) + key_offset;
            scores[t] = dot(query, key, shape.head_dim) * shape.softmax_scale;
        }
        const float* values = call.cache.row(call.layer, block, 0) + shape.kv_width() + key_offset;
        merge_block({scores, static_cast<std::size_t>(seen)}, values, shape.cache_dim(), scratch,
                    sum);
    }
    float* to = row_of(call.out, slice.first_row + r) + head * shape.head_dim;
    for (std::size_t i = 0; i < sum.values.size(); ++i) to[i] = sum.values[i] / sum.total;
}

}  // namespace

void attend_grouped(ThreadPool& threads, const GroupedCall& call) {
    check_call(call);
    const GqaShape& shape = call.shape;
    for (const AttentionSlice& slice : call.slices) {
        const std::int64_t keys = slice.first_position + slice.num_rows;
        const std::int64_t items = slice.num_rows * shape.num_heads;
        threads.run(items, keys * 2 * shape.head_dim, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t item = begin; item < end; ++item) {
                attend_row(call, slice, item / shape.num_heads, item % shape.num_heads);
            }
        });
    }
}

}  // namespace turnpike::kernels::reference
