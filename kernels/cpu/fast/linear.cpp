// See linear.h.
#include "kernels/cpu/fast/linear.h"

#include <algorithm>

#include "config/base/check.h"
#include "kernels/api/segments.h"
#include "kernels/cpu/reference/vector_math.h"

namespace turnpike::kernels::fast {
namespace {

constexpr int kMaxLanes = 64;

PackedRows layout(const KernelTable& table, Format format, std::int64_t rows, std::byte* data) {
    const std::int64_t row_stride = kBlock / k_per_unit(table, format) * 4;
    return {data, rows, row_stride, row_stride * rows};
}

void pack_part(const KernelTable& table,
               Format format,
               MatrixView x,
               std::int64_t begin,
               std::int64_t end,
               const PackedRows& rows,
               std::byte* to) {
    PackCall call;
    call.format = format;
    call.x = row_of(x, begin);
    call.stride = x.stride;
    call.num_rows = end - begin;
    call.k = x.cols;
    call.out = to + begin * rows.row_stride;
    call.block_stride = rows.block_stride;
    call.row_stride = rows.row_stride;
    table.pack_rows(call);
}

// A weight of one row.
void vector_linear(MatrixView x, const std::vector<float>& weight, bool is_split, MatrixView out) {
    const std::int64_t segments = is_split ? num_segments(x.cols) : 1;
    for (std::int64_t m = 0; m < x.rows; ++m) {
        float sum = 0.0F;
        for (std::int64_t s = 0; s < segments; ++s) {
            const Segment cut = is_split ? segment_of(x.cols, s) : Segment{0, x.cols};
            sum += reference::dot(row_of(x, m) + cut.begin, weight.data() + cut.begin,
                                  cut.end - cut.begin);
        }
        row_of(out, m)[0] = sum;
    }
}

}  // namespace

std::size_t packed_bytes(const KernelTable& table,
                         Format format,
                         std::int64_t rows,
                         std::int64_t k) {
    const std::int64_t blocks = (k + kBlock - 1) / kBlock;
    return static_cast<std::size_t>(layout(table, format, rows, nullptr).block_stride * blocks);
}

PackedRows pack_here(const KernelTable& table, Format format, MatrixView x, std::byte* to) {
    const PackedRows rows = layout(table, format, x.rows, to);
    pack_part(table, format, x, 0, x.rows, rows, to);
    return rows;
}

PackedRows pack(const Context& context, Format format, MatrixView x, std::byte* to) {
    const PackedRows rows = layout(context.table, format, x.rows, to);
    context.threads.run(x.rows, x.cols, [&](std::int64_t begin, std::int64_t end) {
        pack_part(context.table, format, x, begin, end, rows, to);
    });
    return rows;
}

void group_product(const KernelTable& table,
                   const PackedMatrix& weight,
                   std::int64_t group,
                   const PackedRows& rows,
                   bool is_split,
                   float* out) {
    const std::int64_t segments = is_split ? num_segments(weight.cols()) : 1;
    alignas(64) float part[kProductRows * kMaxLanes];
    TileCall call;
    call.format = weight.format();
    call.lanes = weight.lanes();
    call.x_block_stride = rows.block_stride;
    call.x_row_stride = rows.row_stride;
    call.num_rows = rows.num_rows;
    for (std::int64_t s = 0; s < segments; ++s) {
        const Segment cut = is_split ? segment_of(weight.cols(), s) : Segment{0, weight.cols()};
        call.weights = weight.group(group, cut.begin);
        call.scales = weight.scales(group, cut.begin);
        call.k = cut.end - cut.begin;
        call.x = rows.from(0, cut.begin).data;
        call.out = s == 0 ? out : part;
        table.tile(call);
        const std::int64_t count = rows.num_rows * call.lanes;
        for (std::int64_t i = 0; s > 0 && i < count; ++i) out[i] += part[i];
    }
}

void product(const KernelTable& table,
             const PackedMatrix& weight,
             std::int64_t begin,
             std::int64_t end,
             const PackedRows& rows,
             bool is_split,
             MatrixView out) {
    alignas(64) float sums[kProductRows * kMaxLanes];
    const std::int64_t lanes = weight.lanes();
    for (std::int64_t group = begin; group < end; ++group) {
        const std::int64_t count = std::min(lanes, weight.rows() - group * lanes);
        for (std::int64_t first = 0; first < rows.num_rows; first += kProductRows) {
            PackedRows some = rows.from(first);
            some.num_rows = std::min(some.num_rows, kProductRows);
            group_product(table, weight, group, some, is_split, sums);
            for (std::int64_t m = 0; m < some.num_rows; ++m)
                std::copy_n(sums + m * lanes, count, row_of(out, first + m) + group * lanes);
        }
    }
}

void linear(const Context& context,
            Scratch& scratch,
            MatrixView x,
            const PackedWeight& weight,
            bool is_split,
            MatrixView out) {
    CHECK(x.dtype == DType::kF32 && out.dtype == DType::kF32);
    CHECK(x.cols == weight.cols() && out.cols == weight.rows() && x.rows == out.rows);
    if (weight.is_vector()) return vector_linear(x, weight.vector(), is_split, out);
    const PackedMatrix& matrix = weight.matrix();
    std::byte* to = scratch.reserve(packed_bytes(context.table, matrix.format(), x.rows, x.cols));
    const PackedRows rows = pack(context, matrix.format(), x, to);
    context.threads.run(matrix.num_groups(), group_work(matrix, x.rows),
                        [&](std::int64_t begin, std::int64_t end) {
                            product(context.table, matrix, begin, end, rows, is_split, out);
                        });
}

}  // namespace turnpike::kernels::fast
