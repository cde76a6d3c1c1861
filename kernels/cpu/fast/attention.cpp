// See attention.h: the cache, and what both forms share.
#include "kernels/cpu/fast/attention.h"

#include <algorithm>
#include <cmath>

#include "config/base/check.h"

namespace turnpike::kernels::fast {
namespace {

constexpr std::int64_t kSlackBytes = 256;  // the last row's last vector may reach past it

}  // namespace

PagedCache::PagedCache(const KernelTable& table, const KvCacheShape& shape)
    : shape_(shape),
      block_stride_(act_units(table, kBlock) * 4),
      row_bytes_(padded_units(table, shape.row_dim) * 4),
      pages_(static_cast<std::size_t>(
          shape.num_layers * shape.num_blocks * kCacheBlockTokens * row_bytes_ + kSlackBytes)) {}

std::byte* PagedCache::row(std::int64_t layer, std::int64_t block, std::int64_t slot) const {
    CHECK(layer >= 0 && layer < shape_.num_layers && block >= 0 && block < shape_.num_blocks);
    const std::int64_t index = (layer * shape_.num_blocks + block) * kCacheBlockTokens + slot;
    return pages_.data() + index * row_bytes_;
}

void check_call(const AttentionCall& call) {
    CHECK(call.queries.cols == call.shape.num_heads * call.shape.query_dim());
    CHECK(call.out.cols == call.shape.num_heads * call.shape.v_dim);
    CHECK(call.cache.shape().row_dim == call.shape.cache_dim());
    CHECK(call.kv_up.cols() == call.shape.latent_dim);
    check_slices(call.slices, call.queries.rows);
}

void pack_act(const KernelTable& table,
              const float* x,
              std::int64_t stride,
              std::int64_t rows,
              std::int64_t k,
              std::uint32_t* to) {
    PackCall call;
    call.format = act_format(table);
    call.x = x;
    call.stride = stride;
    call.num_rows = rows;
    call.k = k;
    call.out = reinterpret_cast<std::byte*>(to);
    call.block_stride = act_units(table, kBlock) * 4;
    call.row_stride = padded_units(table, k) * 4;
    table.pack_rows(call);
}

TileCall act_call(const KernelTable& table,
                  const std::uint32_t* weights,
                  std::int64_t lanes,
                  const void* x,
                  std::int64_t x_stride_bytes,
                  std::int64_t rows,
                  std::int64_t k,
                  float* out) {
    TileCall call;
    call.format = act_format(table);
    call.lanes = static_cast<int>(lanes);
    call.weights = reinterpret_cast<const std::byte*>(weights);
    call.k = k;
    call.x = static_cast<const std::byte*>(x);
    call.x_block_stride = act_units(table, kBlock) * 4;
    call.x_row_stride = x_stride_bytes;
    call.num_rows = rows;
    call.out = out;
    return call;
}

MergeScales merge_softmax(float& max, float& total, const KernelTable::Softmax& part) {
    const float merged = std::max(max, part.max);
    // One of the two is exp(0); the old one is exp(-inf) = 0 at the first part.
    const MergeScales scales{max == merged ? 1.0F : std::exp(max - merged),
                             part.max == merged ? 1.0F : std::exp(part.max - merged)};
    max = merged;
    total = total * scales.old_scale + part.total * scales.new_scale;
    return scales;
}

void write_kv(const Context& context,
              MatrixView rows,
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
            std::byte* to =
                cache.row(layer, slice.block_table[table_index], position % kCacheBlockTokens);
            pack_act(context.table, row_of(rows, slice.first_row + r), rows.stride, 1, rows.cols,
                     reinterpret_cast<std::uint32_t*>(to));
        }
    }
}

}  // namespace turnpike::kernels::fast
