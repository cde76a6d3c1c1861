// Products with packed weights.
#pragma once

#include <cstdint>

#include "kernels/api/tensor.h"
#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/memory.h"
#include "kernels/cpu/fast/packed_weight.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels::fast {

inline float* row_of(MatrixView matrix, std::int64_t index) {
    return static_cast<float*>(matrix.data) + index * matrix.stride;
}

// Rows as the tiles read them: [k block][row][128 k]. Of rows of codes, scales: [row][k block].
struct PackedRows {
    const std::byte* data = nullptr;
    std::int64_t num_rows = 0;
    std::int64_t row_stride = 0;
    std::int64_t block_stride = 0;
    float* scales = nullptr;
    std::int64_t scale_stride = 0;

    PackedRows from(std::int64_t row, std::int64_t k = 0) const {
        PackedRows rest = *this;
        rest.data += row * row_stride + k / kBlock * block_stride;
        rest.num_rows -= row;
        if (scales != nullptr) rest.scales += row * scale_stride + k / kBlock;
        return rest;
    }
};

// What the ops share.
struct Context {
    const KernelTable& table;
    ThreadPool& threads;
};

// Where `rows` rows of k values stand in `to`, still to be packed.
PackedRows packed_layout(
    const KernelTable& table, RowFormat format, std::int64_t rows, std::int64_t k, std::byte* to);
// Bytes of it: those of one row times the rows.
std::size_t packed_bytes(const KernelTable& table,
                         RowFormat format,
                         std::int64_t rows,
                         std::int64_t k);
// Packs x as rows [first, first + x.rows) of those that stand in `to`.
void pack_part(const KernelTable& table,
               RowFormat format,
               MatrixView x,
               const PackedRows& rows,
               std::int64_t first,
               std::byte* to);
// Packs x for weights of the format into `to`.
PackedRows pack(const Context& context, RowFormat format, MatrixView x, std::byte* to);
// The same on the calling thread only.
PackedRows pack_here(const KernelTable& table, RowFormat format, MatrixView x, std::byte* to);

// Rows of one product: as many as fit the caller's stack.
inline constexpr std::int64_t kProductRows = 128;

// One group of a weight times at most kProductRows rows: out [rows][lanes]. is_split sums per
// segment of segments.h and adds the segments in ascending order. Rows of codes: each k block's
// sum times the scales of row and weight is added in ascending order.
void group_product(const KernelTable& table,
                   const PackedMatrix& weight,
                   std::int64_t group,
                   const PackedRows& rows,
                   bool is_split,
                   float* out);

// Groups [begin, end) of weight times all rows, to out [rows, weight rows].
void product(const KernelTable& table,
             const PackedMatrix& weight,
             std::int64_t begin,
             std::int64_t end,
             const PackedRows& rows,
             bool is_split,
             MatrixView out);

// Multiply-adds of one group, for ThreadPool::run. Reading a weight costs about as much as four
// rows' arithmetic.
inline std::int64_t group_work(const PackedMatrix& weight, std::int64_t rows) {
    return weight.cols() * weight.lanes() * (rows < 4 ? 4 : rows);
}

void linear(const Context& context,
            Scratch& scratch,
            MatrixView x,
            const PackedWeight& weight,
            bool is_split,
            MatrixView out);

}  // namespace turnpike::kernels::fast
