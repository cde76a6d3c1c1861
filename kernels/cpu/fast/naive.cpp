// The naive form of MLA: keys and values of a head are projected up from the cache, a block of 64
// positions at a time, once for all rows that see the block.
#include <algorithm>

#include "kernels/api/fp8.h"
#include "kernels/cpu/fast/block_sum.h"

namespace turnpike::kernels::fast {
namespace {

constexpr std::int64_t kTokens = kCacheBlockTokens;

BlockSum::Shape sum_shape(const MlaShape& shape, const AttentionSlice& slice) {
    return {slice.num_rows,    1,           slice.first_position,
            shape.query_dim(), shape.v_dim, shape.softmax_scale};
}

// The heads of one slice, one after the other, in a thread's scratch.
class NaiveHeads {
  public:
    static std::size_t num_bytes(const KernelTable& table,
                                 const MlaShape& shape,
                                 const AttentionSlice& slice) {
        const std::int64_t wide = std::max({shape.query_dim(), shape.v_dim, shape.latent_dim});
        const std::int64_t packed =
            std::max(padded_units(table, shape.query_dim()), padded_units(table, shape.v_dim));
        return static_cast<std::size_t>(BlockSum::num_bytes(table, sum_shape(shape, slice)) +
                                        Carver::bytes_for(kTokens * wide) +
                                        Carver::bytes_for(kTokens * packed) +
                                        Carver::bytes_for(latent_floats(table, shape)));
    }

    NaiveHeads(const KernelTable& table,
               const AttentionCall& call,
               const AttentionSlice& slice,
               Carver carver)
        : table_(table),
          call_(call),
          slice_(slice),
          shape_(call.shape),
          query_units_(padded_units(table, shape_.query_dim())),
          value_units_(padded_units(table, shape_.v_dim)),
          sum_(table, sum_shape(shape_, slice), carver),
          rows_(carver.take<float>(
              kTokens * std::max({shape_.query_dim(), shape_.v_dim, shape_.latent_dim}))),
          packed_(carver.take<std::uint32_t>(kTokens * std::max(query_units_, value_units_))),
          latents_(carver.take<float>(latent_floats(table, shape_))) {}

    void run(std::int64_t head) {
        const std::int64_t rows = slice_.num_rows;
        pack_act(table_, row_of(call_.queries, slice_.first_row) + head * shape_.query_dim(),
                 call_.queries.stride, rows, shape_.query_dim(), sum_.queries());
        sum_.begin();
        const std::int64_t last = slice_.first_position + rows - 1;
        for (std::int64_t start = 0; start <= last; start += kTokens) {
            const std::int64_t count = std::min(kTokens, last + 1 - start);
            project_up(head, call_.block(slice_, start), count);
            sum_.add(start, count);
        }
        for (std::int64_t r = 0; r < rows; ++r)
            sum_.read(r, row_of(call_.out, slice_.first_row + r) + head * shape_.v_dim);
    }

  private:
    static std::int64_t latent_floats(const KernelTable& table, const MlaShape& shape) {
        return static_cast<std::int64_t>(
            packed_bytes(table, {Format::kF32, true}, kTokens, shape.latent_dim) / 4);
    }

    float cached_value(const std::byte* row, std::int64_t index) const {
        if (table_.is_paired)
            return bf16_to_float(reinterpret_cast<const std::uint16_t*>(row)[index]);
        return reinterpret_cast<const float*>(row)[index];
    }

    // The latents of a block as rows for weights of the format: the cache's own, where it fits.
    PackedRows latent_rows(RowFormat format, const std::byte* cached, std::int64_t count) {
        if (table_.is_paired && format.format != Format::kF32 && !format.is_coded)
            return {cached, count, call_.cache.row_bytes(), call_.cache.block_stride()};
        for (std::int64_t t = 0; t < count; ++t) {
            for (std::int64_t i = 0; i < shape_.latent_dim; ++i) {
                rows_[t * shape_.latent_dim + i] =
                    cached_value(cached + t * call_.cache.row_bytes(), i);
            }
        }
        const MatrixView view{rows_, DType::kF32, count, shape_.latent_dim, shape_.latent_dim};
        return pack_here(table_, format, view, reinterpret_cast<std::byte*>(latents_));
    }

    void project_up(std::int64_t head, const std::byte* cached, std::int64_t count) {
        const KvUpWeight::Head& weight = call_.kv_up.head(head);
        const std::int64_t width = shape_.query_dim();
        PackedRows latents = latent_rows(weight.key.row_format(), cached, count);
        product(table_, weight.key, 0, weight.key.num_groups(), latents, false,
                {rows_, DType::kF32, count, shape_.nope_dim, width});
        for (std::int64_t t = 0; t < count; ++t) {
            const std::byte* row = cached + t * call_.cache.row_bytes();
            for (std::int64_t i = 0; i < shape_.rope_dim; ++i)
                rows_[t * width + shape_.nope_dim + i] = cached_value(row, shape_.latent_dim + i);
        }
        pack_act(table_, rows_, width, count, width, packed_);
        const std::int64_t lanes = sum_.token_lanes();
        for (std::int64_t t = 0; t < kTokens; t += lanes) {
            table_.transpose(packed_ + t * query_units_, query_units_,
                             std::clamp<std::int64_t>(count - t, 0, lanes),
                             act_units(table_, width), sum_.keys(t), lanes);
        }
        const PackedMatrix& value = weight.projected_value;
        if (value.row_format() != weight.key.row_format())
            latents = latent_rows(value.row_format(), cached, count);
        product(table_, value, 0, value.num_groups(), latents, false,
                {rows_, DType::kF32, count, shape_.v_dim, shape_.v_dim});
        pack_act(table_, rows_, shape_.v_dim, count, shape_.v_dim, packed_);
        const std::int64_t value_bytes = table_.is_paired ? 2 : 4;
        for (std::int64_t v = 0; v < sum_.padded_values(); v += table_.group_lanes) {
            table_.rows_to_weights(reinterpret_cast<const std::byte*>(packed_) + v * value_bytes,
                                   value_units_ * 4, count, sum_.value_lanes(v), sum_.values(v));
        }
    }

    const KernelTable& table_;
    const AttentionCall& call_;
    const AttentionSlice& slice_;
    const MlaShape& shape_;
    const std::int64_t query_units_;
    const std::int64_t value_units_;
    BlockSum sum_;
    float* rows_;
    std::uint32_t* packed_;
    float* latents_;
};

}  // namespace

void attend_naive(const Context& context, AttentionScratch& scratch, const AttentionCall& call) {
    check_call(call);
    for (const AttentionSlice& slice : call.slices) {
        const std::int64_t head_work = slice.num_rows * kTokens * call.shape.query_dim();
        const auto run_heads = [&](std::int64_t thread, std::int64_t begin, std::int64_t end) {
            Scratch& memory = scratch.of_thread[static_cast<std::size_t>(thread)];
            const Carver carver(
                memory.reserve(NaiveHeads::num_bytes(context.table, call.shape, slice)));
            NaiveHeads heads(context.table, call, slice, carver);
            for (std::int64_t h = begin; h < end; ++h) heads.run(h);
        };
        context.threads.run_on_threads(call.shape.num_heads, head_work, run_heads);
    }
}

}  // namespace turnpike::kernels::fast
