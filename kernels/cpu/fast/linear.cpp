// See linear.h.
#include "kernels/cpu/fast/linear.h"

#include <algorithm>

#include "config/base/check.h"
#include "kernels/api/segments.h"
#include "kernels/cpu/reference/linear.h"
#include "kernels/cpu/reference/vector_math.h"

namespace turnpike::kernels::fast {
namespace {

constexpr int kMaxLanes = 64;
constexpr std::int64_t kAlignment = 64;

std::int64_t num_blocks(std::int64_t k) {
    return (k + kBlock - 1) / kBlock;
}

// Quantises and packs block by block.
void pack_coded(const KernelTable& table, PackCall call, float* scales, std::int64_t scale_stride) {
    float codes[kBlock];
    PackCall block = call;
    block.x = codes;
    block.stride = kBlock;
    block.num_rows = 1;
    for (std::int64_t m = 0; m < call.num_rows; ++m) {
        for (std::int64_t k = 0; k < call.k; k += kBlock) {
            block.k = std::min(kBlock, call.k - k);
            block.out = call.out + m * call.row_stride + k / kBlock * call.block_stride;
            scales[m * scale_stride + k / kBlock] =
                reference::quantise_block(call.x + m * call.stride + k, block.k, codes);
            table.pack_rows(block);
        }
    }
}

// The sums of one segment of coded rows and a coded weight: out [rows][lanes].
void coded_product(const KernelTable& table,
                   const PackedMatrix& weight,
                   std::int64_t group,
                   const PackedRows& rows,
                   Segment cut,
                   TileCall call,
                   float* out) {
    alignas(64) float part[kProductRows * kMaxLanes];
    float scales[kMaxLanes];
    call.scales = nullptr;
    call.out = part;
    std::fill_n(out, rows.num_rows * call.lanes, 0.0F);
    for (std::int64_t k = cut.begin; k < cut.end; k += kBlock) {
        call.weights = weight.group(group, k);
        call.k = std::min(kBlock, cut.end - k);
        call.x = rows.from(0, k).data;
        table.tile(call);
        weight.read_lane_scales(group, k, scales);
        for (std::int64_t m = 0; m < rows.num_rows; ++m) {
            const float x_scale = rows.scales[m * rows.scale_stride + k / kBlock];
            for (std::int64_t i = 0; i < call.lanes; ++i) {
                const std::int64_t at = m * call.lanes + i;
                out[at] += part[at] * (x_scale * scales[i]);
            }
        }
    }
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

PackedRows packed_layout(
    const KernelTable& table, RowFormat format, std::int64_t rows, std::int64_t k, std::byte* to) {
    PackedRows layout;
    layout.data = to;
    layout.num_rows = rows;
    layout.row_stride = kBlock / k_per_unit(table, format.format) * 4;
    layout.block_stride = layout.row_stride * rows;
    if (format.is_coded) {
        constexpr std::int64_t kUnit = kAlignment / 4;
        layout.scales = reinterpret_cast<float*>(to + layout.block_stride * num_blocks(k));
        layout.scale_stride = (num_blocks(k) + kUnit - 1) / kUnit * kUnit;
    }
    return layout;
}

std::size_t packed_bytes(const KernelTable& table,
                         RowFormat format,
                         std::int64_t rows,
                         std::int64_t k) {
    const PackedRows one = packed_layout(table, format, 1, k, nullptr);
    return static_cast<std::size_t>(rows *
                                    (one.block_stride * num_blocks(k) + one.scale_stride * 4));
}

void pack_part(const KernelTable& table,
               RowFormat format,
               MatrixView x,
               const PackedRows& rows,
               std::int64_t first,
               std::byte* to) {
    PackCall call;
    call.format = format.format;
    call.x = row_of(x, 0);
    call.stride = x.stride;
    call.num_rows = x.rows;
    call.k = x.cols;
    call.out = to + first * rows.row_stride;
    call.block_stride = rows.block_stride;
    call.row_stride = rows.row_stride;
    if (!format.is_coded) return table.pack_rows(call);
    pack_coded(table, call, rows.from(first).scales, rows.scale_stride);
}

PackedRows pack_here(const KernelTable& table, RowFormat format, MatrixView x, std::byte* to) {
    const PackedRows rows = packed_layout(table, format, x.rows, x.cols, to);
    pack_part(table, format, x, rows, 0, to);
    return rows;
}

PackedRows pack(const Context& context, RowFormat format, MatrixView x, std::byte* to) {
    const PackedRows rows = packed_layout(context.table, format, x.rows, x.cols, to);
    constexpr std::int64_t kCodedWork = 16;  // quantising a value costs about as many operations
    const std::int64_t work = format.is_coded ? kCodedWork * x.cols : x.cols;
    context.threads.run(x.rows, work, [&](std::int64_t begin, std::int64_t end) {
        pack_part(context.table, format, x.row_range(begin, end - begin), rows, begin, to);
    });
    return rows;
}

void group_product(const KernelTable& table,
                   const PackedMatrix& weight,
                   std::int64_t group,
                   const PackedRows& rows,
                   bool is_split,
                   float* out) {
    CHECK(weight.row_format().is_coded == (rows.scales != nullptr));
    const std::int64_t segments = is_split ? num_segments(weight.cols()) : 1;
    alignas(64) float part[kProductRows * kMaxLanes];
    TileCall call;
    call.format = weight.format();
    call.lanes = weight.lanes();
    call.x_block_stride = rows.block_stride;
    call.x_row_stride = rows.row_stride;
    call.num_rows = rows.num_rows;
    call.is_weight_streamed = true;
    for (std::int64_t s = 0; s < segments; ++s) {
        const Segment cut = is_split ? segment_of(weight.cols(), s) : Segment{0, weight.cols()};
        call.weights = weight.group(group, cut.begin);
        call.scales = weight.scales(group, cut.begin);
        call.k = cut.end - cut.begin;
        call.x = rows.from(0, cut.begin).data;
        call.out = s == 0 ? out : part;
        if (rows.scales == nullptr)
            table.tile(call);
        else
            coded_product(table, weight, group, rows, cut, call, call.out);
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
    std::byte* to =
        scratch.reserve(packed_bytes(context.table, matrix.row_format(), x.rows, x.cols));
    const PackedRows rows = pack(context, matrix.row_format(), x, to);
    context.threads.run(matrix.num_groups(), group_work(matrix, x.rows),
                        [&](std::int64_t begin, std::int64_t end) {
                            product(context.table, matrix, begin, end, rows, is_split, out);
                        });
}

}  // namespace turnpike::kernels::fast
