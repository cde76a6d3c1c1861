// See attention.h.
#include "kernels/cpu/reference/attention.h"

#include <algorithm>
#include <utility>

#include "config/base/check.h"
#include "kernels/api/fp8.h"
#include "kernels/cpu/reference/linear.h"
#include "kernels/cpu/reference/softmax_sum.h"

namespace turnpike::kernels::reference {
namespace {

void check_call(const AttentionCall& call) {
    CHECK(call.queries.cols == call.shape.num_heads * call.shape.query_dim());
    CHECK(call.out.cols == call.shape.num_heads * call.shape.v_dim);
    CHECK(call.cache.shape().row_dim == call.shape.cache_dim());
    CHECK(call.kv_up.cols() == call.shape.latent_dim);
    check_slices(call.slices, call.queries.rows);
}

// Keys and values of one head for the tokens of one block.
struct HeadBlock {
    std::vector<float> keys;    // [64, nope_dim]
    std::vector<float> values;  // [64, v_dim]
};

// One projected number: of the latent as it is, or quantised when the weight is block-scaled.
float project_row(const KvUpWeight& kv_up,
                  std::int64_t row,
                  const float* latent,
                  const QuantisedRows& coded) {
    const DenseWeight& weight = kv_up.projected();
    if (!weight.is_block_scaled()) return dot(weight.row(row), latent, weight.cols());
    return block_dot(coded.row(0), coded.scale_row(0), weight.row(row), weight.scale_row(row),
                     {0, weight.cols()});
}

void project_up(const AttentionCall& call,
                std::int64_t head,
                std::int64_t block,
                std::int64_t count,
                HeadBlock& out) {
    const MlaShape& shape = call.shape;
    const std::int64_t first = head * (shape.nope_dim + shape.v_dim);
    for (std::int64_t t = 0; t < count; ++t) {
        const float* latent = call.cache.row(call.layer, block, t);
        QuantisedRows coded;
        if (call.kv_up.projected().is_block_scaled()) {
            coded = quantise_rows(
                {const_cast<float*>(latent), DType::kF32, 1, shape.latent_dim, shape.latent_dim});
        }
        for (std::int64_t i = 0; i < shape.nope_dim; ++i) {
            out.keys[static_cast<std::size_t>(t * shape.nope_dim + i)] =
                project_row(call.kv_up, first + i, latent, coded);
        }
        for (std::int64_t i = 0; i < shape.v_dim; ++i) {
            out.values[static_cast<std::size_t>(t * shape.v_dim + i)] =
                project_row(call.kv_up, first + shape.nope_dim + i, latent, coded);
        }
    }
}

// One head of one slice in the naive form, block by block: a block's keys and values are projected
// up once for all rows that see it.
void attend_head_naive(const AttentionCall& call, const AttentionSlice& slice, std::int64_t head) {
    const MlaShape& shape = call.shape;
    const std::int64_t last = slice.first_position + slice.num_rows - 1;
    std::vector<SoftmaxSum> sums(static_cast<std::size_t>(slice.num_rows));
    for (SoftmaxSum& sum : sums) sum.values.assign(static_cast<std::size_t>(shape.v_dim), 0.0F);
    HeadBlock up{std::vector<float>(static_cast<std::size_t>(kCacheBlockTokens * shape.nope_dim)),
                 std::vector<float>(static_cast<std::size_t>(kCacheBlockTokens * shape.v_dim))};
    std::vector<float> scratch(static_cast<std::size_t>(shape.v_dim));
    float scores[kCacheBlockTokens];
    for (std::int64_t start = 0; start <= last; start += kCacheBlockTokens) {
        const std::int32_t block =
            slice.block_table[static_cast<std::size_t>(start / kCacheBlockTokens)];
        project_up(call, head, block, std::min<std::int64_t>(kCacheBlockTokens, last + 1 - start),
                   up);
        const std::int64_t first = std::max<std::int64_t>(start - slice.first_position, 0);
        for (std::int64_t r = first; r < slice.num_rows; ++r) {
            const std::int64_t seen =
                std::min<std::int64_t>(kCacheBlockTokens, slice.first_position + r + 1 - start);
            const float* query =
                row_of(call.queries, slice.first_row + r) + head * shape.query_dim();
            for (std::int64_t t = 0; t < seen; ++t) {
                const float* rotated = call.cache.row(call.layer, block, t) + shape.latent_dim;
                const float near = dot(query, up.keys.data() + t * shape.nope_dim, shape.nope_dim);
                const float turn = dot(query + shape.nope_dim, rotated, shape.rope_dim);
                scores[t] = (near + turn) * shape.softmax_scale;
            }
            merge_block({scores, static_cast<std::size_t>(seen)}, up.values.data(), shape.v_dim,
                        scratch, sums[static_cast<std::size_t>(r)]);
        }
    }
    for (std::int64_t r = 0; r < slice.num_rows; ++r) {
        const SoftmaxSum& sum = sums[static_cast<std::size_t>(r)];
        float* to = row_of(call.out, slice.first_row + r) + head * shape.v_dim;
        for (std::size_t i = 0; i < sum.values.size(); ++i) to[i] = sum.values[i] / sum.total;
    }
}

// The query of one head moved into the latent space: sum over i of query[i] * key_row(i).
void absorb_query(const AttentionCall& call,
                  std::int64_t head,
                  const float* query,
                  std::vector<float>& out) {
    std::fill(out.begin(), out.end(), 0.0F);
    for (std::int64_t i = 0; i < call.shape.nope_dim; ++i) {
        add_scaled(query[i], call.kv_up.key_row(head, i), call.shape.latent_dim, out.data());
    }
}

// One head of one row in the absorbed form: keys and values are the cache rows themselves.
void attend_row_absorbed(const AttentionCall& call,
                         const AttentionSlice& slice,
                         std::int64_t r,
                         std::int64_t head) {
    const MlaShape& shape = call.shape;
    const std::int64_t position = slice.first_position + r;
    const float* query = row_of(call.queries, slice.first_row + r) + head * shape.query_dim();
    const auto width = static_cast<std::size_t>(shape.latent_dim);
    std::vector<float> latent_query(width);
    absorb_query(call, head, query, latent_query);
    SoftmaxSum sum;
    sum.values.assign(width, 0.0F);
    std::vector<float> scratch(width);
    float scores[kCacheBlockTokens];
    for (std::int64_t start = 0; start <= position; start += kCacheBlockTokens) {
        const std::int32_t block =
            slice.block_table[static_cast<std::size_t>(start / kCacheBlockTokens)];
        const std::int64_t seen = std::min<std::int64_t>(kCacheBlockTokens, position + 1 - start);
        for (std::int64_t t = 0; t < seen; ++t) {
            const float* row = call.cache.row(call.layer, block, t);
            const float near = dot(latent_query.data(), row, shape.latent_dim);
            const float turn = dot(query + shape.nope_dim, row + shape.latent_dim, shape.rope_dim);
            scores[t] = (near + turn) * shape.softmax_scale;
        }
        merge_block({scores, static_cast<std::size_t>(seen)}, call.cache.row(call.layer, block, 0),
                    shape.cache_dim(), scratch, sum);
    }
    for (float& value : sum.values) value /= sum.total;
    float* to = row_of(call.out, slice.first_row + r) + head * shape.v_dim;
    for (std::int64_t i = 0; i < shape.v_dim; ++i) {
        to[i] = dot(call.kv_up.value_row(head, i), sum.values.data(), shape.latent_dim);
    }
}

}  // namespace

PagedCache::PagedCache(const KvCacheShape& shape)
    : shape_(shape),
      values_(static_cast<std::size_t>(shape.num_layers * shape.num_blocks * kCacheBlockTokens *
                                       shape.row_dim)) {}

std::int64_t PagedCache::offset(std::int64_t layer, std::int64_t block, std::int64_t slot) const {
    CHECK(layer >= 0 && layer < shape_.num_layers && block >= 0 && block < shape_.num_blocks);
    return ((layer * shape_.num_blocks + block) * kCacheBlockTokens + slot) * shape_.row_dim;
}

float* PagedCache::row(std::int64_t layer, std::int64_t block, std::int64_t slot) {
    return values_.data() + offset(layer, block, slot);
}

const float* PagedCache::row(std::int64_t layer, std::int64_t block, std::int64_t slot) const {
    return values_.data() + offset(layer, block, slot);
}

KvUpWeight::KvUpWeight(DenseWeight rows, std::optional<DenseWeight> coded, const MlaShape& shape)
    : all_(std::move(rows)),
      coded_(std::move(coded)),
      nope_dim_(shape.nope_dim),
      v_dim_(shape.v_dim) {}

const float* KvUpWeight::key_row(std::int64_t head, std::int64_t index) const {
    return all_.row(head * (nope_dim_ + v_dim_) + index);
}

const float* KvUpWeight::value_row(std::int64_t head, std::int64_t index) const {
    return all_.row(head * (nope_dim_ + v_dim_) + nope_dim_ + index);
}

void write_kv(MatrixView rows,
              std::span<const AttentionSlice> slices,
              std::int64_t layer,
              PagedCache& cache) {
    CHECK(rows.cols == cache.shape().row_dim);
    for (const AttentionSlice& slice : slices) {
        CHECK(slice.first_row + slice.num_rows <= rows.rows);
        for (std::int64_t r = 0; r < slice.num_rows; ++r) {
            const std::int64_t position = slice.first_position + r;
            const auto table_index = static_cast<std::size_t>(position / kCacheBlockTokens);
            CHECK(table_index < slice.block_table.size());
            const float* from = row_of(rows, slice.first_row + r);
            std::copy_n(
                from, rows.cols,
                cache.row(layer, slice.block_table[table_index], position % kCacheBlockTokens));
        }
    }
}

void attend_naive(ThreadPool& threads, const AttentionCall& call) {
    check_call(call);
    const MlaShape& shape = call.shape;
    for (const AttentionSlice& slice : call.slices) {
        const std::int64_t keys = slice.first_position + slice.num_rows;
        const std::int64_t work = keys * (shape.nope_dim + shape.v_dim) * shape.latent_dim;
        threads.run(shape.num_heads, work, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t head = begin; head < end; ++head)
                attend_head_naive(call, slice, head);
        });
    }
}

void attend_absorbed(ThreadPool& threads, const AttentionCall& call) {
    check_call(call);
    const MlaShape& shape = call.shape;
    for (const AttentionSlice& slice : call.slices) {
        const std::int64_t keys = slice.first_position + slice.num_rows;
        const std::int64_t work = keys * 2 * shape.latent_dim;
        const std::int64_t items = slice.num_rows * shape.num_heads;
        threads.run(items, work, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t item = begin; item < end; ++item) {
                attend_row_absorbed(call, slice, item / shape.num_heads, item % shape.num_heads);
            }
        });
    }
}

}  // namespace turnpike::kernels::reference
