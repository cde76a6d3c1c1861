// See linear_small.h.
#include <algorithm>
#include <type_traits>

#include "config/base/check.h"
#include "kernels/api/segments.h"
#include "kernels/cuda/device/weight_tile.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/linear_small.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kTileRows = 16;  // of weights

// Where a tile's columns come from and go to.
struct Columns {
    std::int64_t count;         // of this launch or expert
    const std::int32_t* slots;  // null: column m is row m of x and of out
    std::int64_t num_chosen;    // a slot's row of x is slot / num_chosen

    __device__ std::int64_t out_row(std::int64_t column) const {
        return slots == nullptr ? column : slots[column];
    }

    __device__ std::int64_t x_row(std::int64_t column) const {
        return slots == nullptr ? column : slots[column] / num_chosen;
    }
};

// How a block's warps share tiles: num_segments warps a tile.
struct Place {
    int tile_in_block;
    int segment;
    int num_segments;
    std::int64_t tile;
};

__host__ __device__ int tiles_per_block(std::int64_t cols) {
    return kWarps / static_cast<int>(num_segments(cols));
}

__device__ Place place_of_warp(std::int64_t cols) {
    const int count = static_cast<int>((cols + kSegmentUnit - 1) / kSegmentUnit);
    const int segments = count < kMaxSegments ? (count > 1 ? count : 1) : kMaxSegments;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int in_block = warp / segments;
    return {in_block, warp % segments, segments,
            static_cast<std::int64_t>(blockIdx.x) * (kWarps / segments) + in_block};
}

template <int NT>
__device__ TileColumns<NT> columns_of_lane(const Columns& columns, std::int64_t first) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const auto row = [&](std::int64_t column) {
        return columns.x_row(column < columns.count ? column : columns.count - 1);
    };
    TileColumns<NT> result;
    for (int nt = 0; nt < NT; ++nt) {
        result.of_fragment[nt] = row(first + nt * 8 + lane / 4);
        result.of_sum[nt][0] = row(first + nt * 8 + lane % 4 * 2);
        result.of_sum[nt][1] = row(first + nt * 8 + lane % 4 * 2 + 1);
    }
    return result;
}

// The sums of all segments of the block's tiles, for finish() to add in ascending order.
template <int NT>
struct Parts {
    float values[kWarps][NT * 8][kTileRows];

    __device__ void put(const float (&sums)[NT][4]) {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        float(&mine)[NT * 8][kTileRows] = values[threadIdx.x / 32];
        for (int nt = 0; nt < NT; ++nt) {
            for (int i = 0; i < 4; ++i)
                mine[nt * 8 + lane % 4 * 2 + i % 2][lane / 4 + i / 2 * 8] = sums[nt][i];
        }
    }

    // Row `row`, column `column` of tile number `tile` of the block.
    __device__ float total(int tile, int segments, int column, int row) const {
        float sum = 0.0F;
        for (int s = 0; s < segments; ++s) sum += values[tile * segments + s][column][row];
        return sum;
    }
};

// Calls finish(tile in block, column, row) for each element of the block's tiles, once.
template <int NT, class Finish>
__device__ void for_each_element(int num_tiles, Finish finish) {
    const int count = num_tiles * NT * 8 * kTileRows;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads)
        finish(i / (NT * 8 * kTileRows), i / kTileRows % (NT * 8), i % kTileRows);
}

template <DType kDType, int NT, class Source>
__device__ void segment_product(const WeightView& w,
                                const Place& place,
                                const Source& x,
                                const TileColumns<NT>& columns,
                                float (&sums)[NT][4]) {
    for (int nt = 0; nt < NT; ++nt) {
        for (float& sum : sums[nt]) sum = 0.0F;
    }
    const BlockRange range = blocks_of_segment(w.cols, place.segment, place.num_segments);
    if (place.tile * kTileRows >= w.rows ||
        place.tile_in_block * place.num_segments + place.segment >=
            kWarps / place.num_segments * place.num_segments)
        return;
    if constexpr (std::is_same_v<Source, CodedSource>)
        tile_product<NT>(w, place.tile * kTileRows, range, x, columns, sums);
    else
        tile_product<kDType, NT>(w, place.tile * kTileRows, range, x, columns, sums);
}

// out[m, n], the columns from `first` on.
template <DType kDType, int NT, class Source>
__device__ void product(const WeightView& w,
                        const Source& x,
                        const Columns& columns,
                        std::int64_t first,
                        float* out,
                        std::int64_t out_stride,
                        Parts<NT>& parts) {
    const Place place = place_of_warp(w.cols);
    float sums[NT][4];
    segment_product<kDType>(w, place, x, columns_of_lane<NT>(columns, first), sums);
    parts.put(sums);
    __syncthreads();
    const int num_tiles = kWarps / place.num_segments;
    for_each_element<NT>(num_tiles, [&](int tile, int column, int row) {
        const std::int64_t n =
            (static_cast<std::int64_t>(blockIdx.x) * num_tiles + tile) * kTileRows + row;
        if (n >= w.rows || first + column >= columns.count) return;
        out[columns.out_row(first + column) * out_stride + n] =
            parts.total(tile, place.num_segments, column, row);
    });
}

template <DType kDType, int NT, class Source>
__global__ void __launch_bounds__(kThreads)
    linear_kernel(WeightView w, Source x, std::int64_t rows, float* out, std::int64_t out_stride) {
    __shared__ Parts<NT> parts;
    const Columns columns{rows, nullptr, 1};
    product<kDType, NT>(w, x, columns, static_cast<std::int64_t>(blockIdx.y) * NT * 8, out,
                        out_stride, parts);
}

// gridDim.y: experts.
template <DType kDType, int NT, class Source>
__global__ void __launch_bounds__(kThreads) experts_down_kernel(const ExpertView* experts,
                                                                RoutingView routing,
                                                                Source x,
                                                                bool x_rows_are_slots,
                                                                float* out,
                                                                std::int64_t out_stride) {
    __shared__ Parts<NT> parts;
    const std::int64_t begin = routing.offsets[blockIdx.y];
    const Columns columns{routing.offsets[blockIdx.y + 1] - begin, routing.order + begin,
                          x_rows_are_slots ? 1 : routing.num_chosen};
    if (columns.count == 0) return;
    const WeightView w = experts[blockIdx.y].down;
    for (std::int64_t first = 0; first < columns.count; first += NT * 8) {
        if (first > 0) __syncthreads();
        product<kDType, NT>(w, x, columns, first, out, out_stride, parts);
    }
}

template <DType kDType, int NT, class Source>
__global__ void __launch_bounds__(kThreads) experts_gate_up_kernel(const ExpertView* experts,
                                                                   RoutingView routing,
                                                                   Source x,
                                                                   bool x_rows_are_slots,
                                                                   float* out,
                                                                   std::int64_t out_stride) {
    __shared__ Parts<NT> gates;
    __shared__ Parts<NT> ups;
    const std::int64_t begin = routing.offsets[blockIdx.y];
    const Columns columns{routing.offsets[blockIdx.y + 1] - begin, routing.order + begin,
                          x_rows_are_slots ? 1 : routing.num_chosen};
    if (columns.count == 0) return;
    const WeightView gate = experts[blockIdx.y].gate;
    const WeightView up = experts[blockIdx.y].up;
    const Place place = place_of_warp(gate.cols);
    const int num_tiles = kWarps / place.num_segments;
    for (std::int64_t first = 0; first < columns.count; first += NT * 8) {
        if (first > 0) __syncthreads();
        const TileColumns<NT> of_lane = columns_of_lane<NT>(columns, first);
        float sums[NT][4];
        segment_product<kDType>(gate, place, x, of_lane, sums);
        gates.put(sums);
        segment_product<kDType>(up, place, x, of_lane, sums);
        ups.put(sums);
        __syncthreads();
        for_each_element<NT>(num_tiles, [&](int tile, int column, int row) {
            const std::int64_t n =
                (static_cast<std::int64_t>(blockIdx.x) * num_tiles + tile) * kTileRows + row;
            if (n >= gate.rows || first + column >= columns.count) return;
            const float a = gates.total(tile, place.num_segments, column, row);
            const float b = ups.total(tile, place.num_segments, column, row);
            out[columns.out_row(first + column) * out_stride + n] = a / (1.0F + expf(-a)) * b;
        });
    }
}

// F32 and F16 weights: a warp an output, segments in ascending order.
__global__ void linear_f32_kernel(
    WeightView w, PlainSource x, std::int64_t rows, float* out, std::int64_t out_stride) {
    const std::int64_t n = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (n >= w.rows) return;
    const int units = static_cast<int>((w.cols + kSegmentUnit - 1) / kSegmentUnit);
    const int segments = units < kMaxSegments ? (units > 1 ? units : 1) : kMaxSegments;
    for (std::int64_t m = blockIdx.y; m < rows; m += gridDim.y) {
        float total = 0.0F;
        for (int s = 0; s < segments; ++s) {
            const BlockRange range = blocks_of_segment(w.cols, s, segments);
            float sum = 0.0F;
            for (std::int64_t k = static_cast<std::int64_t>(range.begin) * kSegmentUnit + lane;
                 k < static_cast<std::int64_t>(range.end) * kSegmentUnit; k += 32)
                sum += weight_value(w, n, k) * x.value(m, k);
            total += warp_sum(sum);
        }
        if (lane == 0) out[m * out_stride + n] = total;
    }
}

void check_weight(const WeightView& w, std::int64_t x_cols) {
    CHECK(w.cols == x_cols && w.stride % kFp8Block == 0 && w.stride >= w.cols);
    CHECK(reinterpret_cast<std::uintptr_t>(w.data) % 16 == 0);
    CHECK((w.dtype == DType::kF8E4M3) == (w.scales != nullptr));
}

unsigned tile_blocks(std::int64_t rows, std::int64_t cols) {
    const std::int64_t per_block = std::int64_t{kTileRows} * tiles_per_block(cols);
    return static_cast<unsigned>((rows + per_block - 1) / per_block);
}

template <DType kDType, int NT, class Source>
void launch(
    const WeightView& w, const Source& x, std::int64_t rows, MatrixView out, cudaStream_t stream) {
    const dim3 grid(tile_blocks(w.rows, w.cols),
                    static_cast<unsigned>((rows + NT * 8 - 1) / (NT * 8)));
    linear_kernel<kDType, NT>
        <<<grid, kThreads, 0, stream>>>(w, x, rows, static_cast<float*>(out.data), out.stride);
    CUDA_CHECK(cudaGetLastError());
}

template <DType kDType, class Source>
void launch_for(
    const WeightView& w, const Source& x, std::int64_t rows, MatrixView out, cudaStream_t stream) {
    CHECK(out.dtype == DType::kF32 && out.rows == rows && out.cols == w.rows);
    if (rows == 0) return;
    if (rows <= 8) return launch<kDType, 1>(w, x, rows, out, stream);
    if (rows <= 16) return launch<kDType, 2>(w, x, rows, out, stream);
    if (rows <= 32) return launch<kDType, 4>(w, x, rows, out, stream);
    launch<kDType, 8>(w, x, rows, out, stream);
}

PlainSource source_of(MatrixView x) {
    CHECK(x.dtype == DType::kF32);
    return {static_cast<const float*>(x.data), x.stride, x.cols};
}

// Up to 8 slots an expert cost one reading of its weights; above that the second tile of columns
// saves a second one.
constexpr std::int64_t kFewSlots = 64;

template <class Launch>
void with_columns(const RoutingView& routing, Launch launch_with) {
    if (routing.rows * routing.num_chosen <= kFewSlots)
        launch_with(std::integral_constant<int, 1>());
    else
        launch_with(std::integral_constant<int, 2>());
}

}  // namespace

void linear_small(const CodedRows& x,
                  const WeightView& weight,
                  MatrixView out,
                  cudaStream_t stream) {
    check_weight(weight, x.cols);
    CHECK(weight.dtype == DType::kF8E4M3 && x.stride == weight.stride);
    launch_for<DType::kF8E4M3>(weight, CodedSource{x}, x.rows, out, stream);
}

void linear_small(MatrixView x, const WeightView& weight, MatrixView out, cudaStream_t stream) {
    check_weight(weight, x.cols);
    const PlainSource source = source_of(x);
    if (weight.dtype == DType::kF8E4M3)
        return launch_for<DType::kF8E4M3>(weight, source, x.rows, out, stream);
    if (weight.dtype == DType::kBf16)
        return launch_for<DType::kBf16>(weight, source, x.rows, out, stream);
    CHECK(out.dtype == DType::kF32 && out.rows == x.rows && out.cols == weight.rows);
    if (x.rows == 0) return;
    constexpr std::int64_t kMaxGridRows = 1024;
    const dim3 grid(static_cast<unsigned>((weight.rows + kWarps - 1) / kWarps),
                    static_cast<unsigned>(std::min(x.rows, kMaxGridRows)));
    linear_f32_kernel<<<grid, kThreads, 0, stream>>>(weight, source, x.rows,
                                                     static_cast<float*>(out.data), out.stride);
    CUDA_CHECK(cudaGetLastError());
}

void experts_gate_up(const ExpertInput& x,
                     const RoutingView& routing,
                     const ExpertView* experts,
                     const ExpertView& shape,
                     MatrixView out,
                     cudaStream_t stream) {
    CHECK(out.rows == routing.rows * routing.num_chosen && out.cols == shape.gate.rows);
    CHECK(shape.gate.cols == shape.up.cols && shape.gate.rows == shape.up.rows);
    if (out.rows == 0) return;
    const dim3 grid(tile_blocks(shape.gate.rows, shape.gate.cols),
                    static_cast<unsigned>(routing.num_experts));
    auto* to = static_cast<float*>(out.data);
    with_columns(routing, [&](auto nt) {
        constexpr int kColumns = decltype(nt)::value;
        if (x.coded != nullptr) {
            CHECK(shape.gate.dtype == DType::kF8E4M3 && x.coded->stride == shape.gate.stride);
            experts_gate_up_kernel<DType::kF8E4M3, kColumns><<<grid, kThreads, 0, stream>>>(
                experts, routing, CodedSource{*x.coded}, x.x_rows_are_slots, to, out.stride);
        } else if (shape.gate.dtype == DType::kF8E4M3) {
            experts_gate_up_kernel<DType::kF8E4M3, kColumns><<<grid, kThreads, 0, stream>>>(
                experts, routing, source_of(x.plain), x.x_rows_are_slots, to, out.stride);
        } else {
            CHECK(shape.gate.dtype == DType::kBf16);
            experts_gate_up_kernel<DType::kBf16, kColumns><<<grid, kThreads, 0, stream>>>(
                experts, routing, source_of(x.plain), x.x_rows_are_slots, to, out.stride);
        }
    });
    CUDA_CHECK(cudaGetLastError());
}

void experts_down(const ExpertInput& x,
                  const RoutingView& routing,
                  const ExpertView* experts,
                  const ExpertView& shape,
                  MatrixView out,
                  cudaStream_t stream) {
    CHECK(out.rows == routing.rows * routing.num_chosen && out.cols == shape.down.rows);
    if (out.rows == 0) return;
    const dim3 grid(tile_blocks(shape.down.rows, shape.down.cols),
                    static_cast<unsigned>(routing.num_experts));
    auto* to = static_cast<float*>(out.data);
    with_columns(routing, [&](auto nt) {
        constexpr int kColumns = decltype(nt)::value;
        if (x.coded != nullptr) {
            CHECK(shape.down.dtype == DType::kF8E4M3 && x.coded->stride == shape.down.stride);
            experts_down_kernel<DType::kF8E4M3, kColumns><<<grid, kThreads, 0, stream>>>(
                experts, routing, CodedSource{*x.coded}, x.x_rows_are_slots, to, out.stride);
        } else if (shape.down.dtype == DType::kF8E4M3) {
            experts_down_kernel<DType::kF8E4M3, kColumns><<<grid, kThreads, 0, stream>>>(
                experts, routing, source_of(x.plain), x.x_rows_are_slots, to, out.stride);
        } else {
            CHECK(shape.down.dtype == DType::kBf16);
            experts_down_kernel<DType::kBf16, kColumns><<<grid, kThreads, 0, stream>>>(
                experts, routing, source_of(x.plain), x.x_rows_are_slots, to, out.stride);
        }
    });
    CUDA_CHECK(cudaGetLastError());
}

}  // namespace turnpike::kernels::cuda
