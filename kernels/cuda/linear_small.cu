// See linear_small.h.
#include <algorithm>
#include <type_traits>

#include "config/base/check.h"
#include "kernels/cuda/device/weight_tile.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/linear_small.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kTileRows = 16;  // of weights
constexpr int kAhead = 2;      // units of weights in each of two buffers
constexpr int kFewColumnsBlocks = 2;

// Warps that share a tile's K: what one warp reads should last a while.
__host__ __device__ constexpr int num_parts(std::int64_t num_k_blocks) {
    return num_k_blocks >= 32 ? 8 : num_k_blocks >= 16 ? 4 : num_k_blocks >= 8 ? 2 : 1;
}

// What a warp does of a matrix.
struct Place {
    int parts;  // of a tile's K
    int part;
    int tile_in_block;
    std::int64_t tile;

    __device__ explicit Place(const WeightView& w) : parts(num_parts(w.num_k_blocks())) {
        const int warp = static_cast<int>(threadIdx.x) / 32;
        part = warp % parts;
        tile_in_block = warp / parts;
        tile = static_cast<std::int64_t>(blockIdx.x) * (kWarps / parts) + tile_in_block;
    }

    template <DType kDType>
    __device__ UnitRange range(const WeightView& w) const {
        constexpr int kUnits = kDType == DType::kF8E4M3 ? 1 : 2;  // of 128 values
        const int blocks = static_cast<int>(w.num_k_blocks());
        if (tile * kTileRows >= w.rows) return {0, 0};
        return {part * blocks / parts * kUnits, (part + 1) * blocks / parts * kUnits};
    }
};

// The sums of all parts of the block's tiles, to be added in ascending order.
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
    __device__ float total(int tile, int parts, int column, int row) const {
        float sum = 0.0F;
        for (int p = 0; p < parts; ++p) sum += values[tile * parts + p][column][row];
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

// Two blocks of few columns share a multiprocessor: one reads while the other computes.
constexpr int blocks_for(int nt) {
    return nt <= 2 ? kFewColumnsBlocks : 1;
}

// FP8 weights.
template <int NT>
__global__ void __launch_bounds__(kThreads, blocks_for(NT))
    linear_kernel(WeightView w, PlainSource x, int rows, float* out, std::int64_t out_stride) {
    __shared__ Parts<NT> parts;
    let_next_begin();
    const Place place(w);
    const int first = static_cast<int>(blockIdx.y) * NT * 8;
    const DenseColumns columns{first / 8, (rows - 1) / 8, rows - 1};
    float sums[NT][4] = {};
    tile_product<DType::kF8E4M3, NT, kAhead, true>(
        w, place.tile * kTileRows, place.range<DType::kF8E4M3>(w), x, columns, sums);
    parts.put(sums);
    __syncthreads();
    const int num_tiles = kWarps / place.parts;
    for_each_element<NT>(num_tiles, [&](int tile, int column, int row) {
        const std::int64_t n =
            (static_cast<std::int64_t>(blockIdx.x) * num_tiles + tile) * kTileRows + row;
        if (n >= w.rows || first + column >= rows) return;
        out[(first + column) * out_stride + n] = parts.total(tile, place.parts, column, row);
    });
}

// The slots of one expert, NT * 8 at a time.
struct Slots {
    int count;
    const std::int32_t* list;
    int num_chosen;  // a slot's row of x is slot / num_chosen; 1 where x has a row a slot

    __device__ Slots(const RoutingView& routing, int expert, bool rows_are_slots)
        : count(routing.offsets[expert + 1] - routing.offsets[expert]),
          list(routing.order + routing.offsets[expert]),
          num_chosen(rows_are_slots ? 1 : static_cast<int>(routing.num_chosen)) {}

    __device__ int x_row(int column) const { return list[min(column, count - 1)] / num_chosen; }

    template <int NT>
    __device__ ListedColumns<NT> columns(int first) const {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        ListedColumns<NT> result;
        for (int nt = 0; nt < NT; ++nt) result.fragments[nt] = x_row(first + nt * 8 + lane / 4);
        return result;
    }
};

// gridDim.y: at least the experts that have slots.
template <DType kDType, int NT>
__global__ void __launch_bounds__(kThreads, blocks_for(NT))
    experts_down_kernel(const ExpertView* experts,
                        RoutingView routing,
                        PlainSource x,
                        float* out,
                        std::int64_t out_stride) {
    __shared__ Parts<NT> parts;
    let_next_begin();
    wait_for_inputs();
    const int expert = routing.active[blockIdx.y];
    if (expert < 0) return;
    const Slots slots(routing, expert, /*rows_are_slots=*/true);
    const WeightView w = experts[expert].down;
    const Place place(w);
    const int num_tiles = kWarps / place.parts;
    for (int first = 0; first < slots.count; first += NT * 8) {
        float sums[NT][4] = {};
        tile_product<kDType, NT, kAhead, false>(w, place.tile * kTileRows, place.range<kDType>(w),
                                                x, slots.columns<NT>(first), sums);
        if (first > 0) __syncthreads();
        parts.put(sums);
        __syncthreads();
        for_each_element<NT>(num_tiles, [&](int tile, int column, int row) {
            const std::int64_t n =
                (static_cast<std::int64_t>(blockIdx.x) * num_tiles + tile) * kTileRows + row;
            if (n >= w.rows || first + column >= slots.count) return;
            out[slots.list[first + column] * out_stride + n] =
                parts.total(tile, place.parts, column, row);
        });
    }
}

template <DType kDType, int NT>
__global__ void __launch_bounds__(kThreads, blocks_for(NT))
    experts_gate_up_kernel(const ExpertView* experts,
                           RoutingView routing,
                           PlainSource x,
                           float* out,
                           std::int64_t out_stride) {
    __shared__ Parts<NT> gates;
    __shared__ Parts<NT> ups;
    let_next_begin();
    wait_for_inputs();
    const int expert = routing.active[blockIdx.y];
    if (expert < 0) return;
    const Slots slots(routing, expert, /*rows_are_slots=*/false);
    const WeightView gate = experts[expert].gate;
    const WeightView up = experts[expert].up;
    const Place place(gate);
    const UnitRange range = place.range<kDType>(gate);
    const int num_tiles = kWarps / place.parts;
    for (int first = 0; first < slots.count; first += NT * 8) {
        const ListedColumns<NT> columns = slots.columns<NT>(first);
        if (first > 0) __syncthreads();
        float sums[NT][4] = {};
        tile_product<kDType, NT, kAhead, false>(gate, place.tile * kTileRows, range, x, columns,
                                                sums);
        gates.put(sums);
        for (auto& column : sums) {
            for (float& sum : column) sum = 0.0F;
        }
        tile_product<kDType, NT, kAhead, false>(up, place.tile * kTileRows, range, x, columns,
                                                sums);
        ups.put(sums);
        __syncthreads();
        for_each_element<NT>(num_tiles, [&](int tile, int column, int row) {
            const std::int64_t n =
                (static_cast<std::int64_t>(blockIdx.x) * num_tiles + tile) * kTileRows + row;
            if (n >= gate.rows || first + column >= slots.count) return;
            const float a = gates.total(tile, place.parts, column, row);
            const float b = ups.total(tile, place.parts, column, row);
            out[slots.list[first + column] * out_stride + n] = a / (1.0F + expf(-a)) * b;
        });
    }
}

// F16 and F32 weights: a warp an output, lane by lane, then the lanes' sums.
__global__ void linear_f32_kernel(
    WeightView w, PlainSource x, std::int64_t rows, float* out, std::int64_t out_stride) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t n = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (n >= w.rows) return;
    for (std::int64_t m = blockIdx.y; m < rows; m += gridDim.y) {
        float sum = 0.0F;
        for (std::int64_t k = lane; k < w.cols; k += 32)
            sum += weight_value(w, n, k) * x.value(m, k);
        sum = warp_sum(sum);
        if (lane == 0) out[m * out_stride + n] = sum;
    }
}

void check_weight(const WeightView& w, std::int64_t x_cols) {
    CHECK(w.cols == x_cols && w.stride % kFp8Block == 0 && w.stride >= w.cols);
    CHECK(reinterpret_cast<std::uintptr_t>(w.data) % 16 == 0);
    CHECK((w.dtype == DType::kF8E4M3) == (w.scales != nullptr));
}

unsigned tile_blocks(const WeightView& w) {
    const std::int64_t per_block = std::int64_t{kTileRows} * (kWarps / num_parts(w.num_k_blocks()));
    return static_cast<unsigned>((w.rows + per_block - 1) / per_block);
}

template <int NT>
void launch_linear(const WeightView& w,
                   const PlainSource& x,
                   std::int64_t rows,
                   MatrixView out,
                   cudaStream_t stream) {
    const dim3 grid(tile_blocks(w), static_cast<unsigned>((rows + NT * 8 - 1) / (NT * 8)));
    launch(linear_kernel<NT>, {grid, kThreads, 0}, stream, w, x, static_cast<int>(rows),
           static_cast<float*>(out.data), out.stride);
}

void launch_fp8(const WeightView& w,
                const PlainSource& x,
                std::int64_t rows,
                MatrixView out,
                cudaStream_t stream) {
    CHECK(out.dtype == DType::kF32 && out.rows == rows && out.cols == w.rows);
    if (rows == 0) return;
    if (rows <= 8) return launch_linear<1>(w, x, rows, out, stream);
    if (rows <= 16) return launch_linear<2>(w, x, rows, out, stream);
    if (rows <= 32) return launch_linear<4>(w, x, rows, out, stream);
    launch_linear<8>(w, x, rows, out, stream);
}

PlainSource source_of(MatrixView x) {
    CHECK(x.dtype == DType::kF32);
    return {static_cast<const float*>(x.data), x.stride, x.cols};
}

Shape expert_blocks(const WeightView& w, const RoutingView& routing) {
    return {dim3(tile_blocks(w), static_cast<unsigned>(routing.max_active())), kThreads, 0};
}

// Up to 8 slots an expert cost one reading of its weights; above that the second tile of columns
// saves a second one.
constexpr std::int64_t kFewSlots = 64;

// Calls run(dtype, number of column tiles) with the types of the call.
template <class Run>
void with_types(const WeightView& w, const RoutingView& routing, Run run) {
    const auto with_tiles = [&](auto dtype) {
        if (routing.num_slots() <= kFewSlots)
            run(dtype, std::integral_constant<int, 1>());
        else
            run(dtype, std::integral_constant<int, 2>());
    };
    CHECK(w.dtype == DType::kF8E4M3 || w.dtype == DType::kBf16);
    if (w.dtype == DType::kF8E4M3)
        with_tiles(std::integral_constant<DType, DType::kF8E4M3>());
    else
        with_tiles(std::integral_constant<DType, DType::kBf16>());
}

}  // namespace

void linear_small(MatrixView x, const WeightView& weight, MatrixView out, cudaStream_t stream) {
    check_weight(weight, x.cols);
    const PlainSource source = source_of(x);
    if (weight.dtype == DType::kF8E4M3) return launch_fp8(weight, source, x.rows, out, stream);
    CHECK(weight.dtype == DType::kF16 || weight.dtype == DType::kF32);
    CHECK(out.dtype == DType::kF32 && out.rows == x.rows && out.cols == weight.rows);
    if (x.rows == 0) return;
    constexpr std::int64_t kMaxGridRows = 1024;
    const dim3 grid(static_cast<unsigned>((weight.rows + kWarps - 1) / kWarps),
                    static_cast<unsigned>(std::min(x.rows, kMaxGridRows)));
    launch(linear_f32_kernel, {grid, kThreads, 0}, stream, weight, source, x.rows,
           static_cast<float*>(out.data), out.stride);
}

void experts_gate_up(MatrixView x,
                     const RoutingView& routing,
                     const ExpertView* experts,
                     const ExpertView& shape,
                     MatrixView out,
                     cudaStream_t stream) {
    CHECK(out.rows == routing.num_slots() && out.cols == shape.gate.rows);
    CHECK(shape.gate.cols == shape.up.cols && shape.gate.rows == shape.up.rows);
    if (out.rows == 0) return;
    const Shape blocks = expert_blocks(shape.gate, routing);
    with_types(shape.gate, routing, [&](auto dtype, auto nt) {
        launch(experts_gate_up_kernel<decltype(dtype)::value, decltype(nt)::value>, blocks, stream,
               experts, routing, source_of(x), static_cast<float*>(out.data), out.stride);
    });
}

void experts_down(MatrixView x,
                  const RoutingView& routing,
                  const ExpertView* experts,
                  const ExpertView& shape,
                  MatrixView out,
                  cudaStream_t stream) {
    CHECK(out.rows == routing.num_slots() && out.cols == shape.down.rows);
    if (out.rows == 0) return;
    const Shape blocks = expert_blocks(shape.down, routing);
    with_types(shape.down, routing, [&](auto dtype, auto nt) {
        launch(experts_down_kernel<decltype(dtype)::value, decltype(nt)::value>, blocks, stream,
               experts, routing, source_of(x), static_cast<float*>(out.data), out.stride);
    });
}

}  // namespace turnpike::kernels::cuda
