// MLA over a paged cache of packed rows, with the tiles of linears. Scores, softmax and sums go
// block by block of 64 positions; what is summed where depends on the row's position alone.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/api/attention.h"
#include "kernels/cpu/fast/linear.h"

namespace turnpike::kernels::fast {

// [layer][block][64][row_stride] in the table's act format, rows padded with zeros.
class PagedCache final : public KvCache {
  public:
    PagedCache(const KernelTable& table, const KvCacheShape& shape);

    const KvCacheShape& shape() const override { return shape_; }

    std::int64_t row_bytes() const { return row_bytes_; }

    // Bytes from one k block of 128 to the next within a row.
    std::int64_t block_stride() const { return block_stride_; }

    std::byte* row(std::int64_t layer, std::int64_t block, std::int64_t slot) const;

  private:
    KvCacheShape shape_;
    std::int64_t block_stride_;
    std::int64_t row_bytes_;
    Pages pages_;
};

struct AttentionCall {
    MatrixView queries;
    std::span<const AttentionSlice> slices;
    const KvUpWeight& kv_up;
    MlaShape shape;
    std::int64_t layer = 0;
    const PagedCache& cache;
    MatrixView out;

    // The cache rows of the block that holds `position`.
    const std::byte* block(const AttentionSlice& slice, std::int64_t position) const {
        const auto index = static_cast<std::size_t>(position / kCacheBlockTokens);
        return cache.row(layer, slice.block_table[index], 0);
    }
};

struct GroupedCall {
    MatrixView queries;
    std::span<const AttentionSlice> slices;
    GqaShape shape;
    std::int64_t layer = 0;
    const PagedCache& cache;
    MatrixView out;
};

struct AttentionScratch {
    Scratch queries;
    Scratch weights;
    Scratch partial;
    std::vector<Scratch> of_thread;
};

void write_kv(const Context& context,
              MatrixView rows,
              std::span<const AttentionSlice> slices,
              std::int64_t layer,
              PagedCache& cache);
void attend_naive(const Context& context, AttentionScratch& scratch, const AttentionCall& call);
void attend_absorbed(const Context& context, AttentionScratch& scratch, const AttentionCall& call);
void attend_grouped(const Context& context, AttentionScratch& scratch, const GroupedCall& call);

// What they share.

void check_call(const AttentionCall& call);

// 32-bit units of k values in the act format.
inline std::int64_t act_units(const KernelTable& table, std::int64_t k) {
    return table.is_paired ? (k + 1) / 2 : k;
}

// Units that a packed row of k values may fill: whole vectors.
inline std::int64_t padded_units(const KernelTable& table, std::int64_t k) {
    return (act_units(table, k) + 15) / 16 * 16;
}

// Rows of k f32 values, `stride` apart, to rows in the act format, padded_units(k) apart.
void pack_act(const KernelTable& table,
              const float* x,
              std::int64_t stride,
              std::int64_t rows,
              std::int64_t k,
              std::uint32_t* to);

// A product of act rows: x [rows, k] with units x_stride apart, weights [k units][lanes].
TileCall act_call(const KernelTable& table,
                  const std::uint32_t* weights,
                  std::int64_t lanes,
                  const void* x,
                  std::int64_t x_stride_bytes,
                  std::int64_t rows,
                  std::int64_t k,
                  float* out);

// Running softmax-weighted sum: how much the old and the new part count after a merge.
struct MergeScales {
    float old_scale = 0.0F;
    float new_scale = 0.0F;
};

// Updates max and total with a part's.
MergeScales merge_softmax(float& max, float& total, const KernelTable::Softmax& part);

}  // namespace turnpike::kernels::fast
