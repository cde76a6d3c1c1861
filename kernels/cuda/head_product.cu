// See head_product.cuh. A block of eight warps takes 128 rows of weights of one head and up to 64
// rows of x, whose two parts it makes once; of heads of other sizes a warp takes a tile of 16 rows
// of weights. Which of the two it is depends on the shape alone, so a row's bits are the same
// whatever other rows there are.
#include "config/base/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/weight_ring.cuh"
#include "kernels/cuda/device/weight_tile.cuh"
#include "kernels/cuda/head_product.cuh"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kWarps = 4;

// Writes a warp's 16 x NT * 8 sums, its rows from row0 on, columns from `first` on.
template <int NT>
__device__ void store(const HeadProduct& call,
                      const float (&sums)[NT][4],
                      std::int64_t row0,
                      int first,
                      int num_rows,
                      float* out,
                      std::int64_t out_stride) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const std::int64_t head = row0 / call.rows_per_head;
#pragma unroll
    for (int nt = 0; nt < NT; ++nt) {
        for (int i = 0; i < 4; ++i) {
            const std::int64_t m = first + nt * 8 + lane % 4 * 2 + i % 2;
            const std::int64_t n = row0 % call.rows_per_head + lane / 4 + i / 2 * 8;
            if (m < num_rows && n < call.used_rows)
                out[m * out_stride + head * call.out_head_stride + n] = sums[nt][i];
        }
    }
}

template <int NT>
__global__ void any_shape_kernel(HeadProduct call,
                                 const float* x,
                                 std::int64_t x_stride,
                                 float* out,
                                 std::int64_t out_stride,
                                 int num_rows) {
    constexpr int kAhead = 2;
    const std::int64_t row0 =
        (static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32) * kHeadRows;
    let_next_begin();
    if (row0 >= call.weight.rows) return;
    const int first = static_cast<int>(blockIdx.y) * NT * 8;
    const PlainSource source{x + row0 / call.rows_per_head * call.x_head_stride, x_stride,
                             call.weight.cols};
    const DenseColumns columns{first / 8, (num_rows - 1) / 8, num_rows - 1};
    float sums[NT][4] = {};
    const int num_units = static_cast<int>(call.weight.num_k_blocks()) * 2;
    tile_product<DType::kBf16, NT, kAhead, true>(call.weight, row0, {0, num_units}, source, columns,
                                                 sums);
    store<NT>(call, sums, row0, first, num_rows, out, out_stride);
}

constexpr int kTileWarps = 8;
constexpr int kTileThreads = kTileWarps * 32;
constexpr int kTileWeightRows = kTileWarps * 16;

// 16 columns of one row of x, a thread, of NT * 8 rows.
template <int NT>
struct Columns {
    float4 values[4];

    __device__ void load(const float* from) {
        for (int i = 0; i < 4; ++i)
            values[i] = from != nullptr ? reinterpret_cast<const float4*>(from)[i] : float4{};
    }

    // Their two parts, into the strips of both.
    __device__ void store(unsigned char* strips, int row, int first_piece) const {
        std::uint32_t high[8];
        std::uint32_t low[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float a = i % 2 == 0 ? values[i / 2].x : values[i / 2].z;
            const float b = i % 2 == 0 ? values[i / 2].y : values[i / 2].w;
            const __nv_bfloat162 top = __floats2bfloat162_rn(a, b);
            const __nv_bfloat162 rest =
                __floats2bfloat162_rn(a - __low2float(top), b - __high2float(top));
            high[i] = *reinterpret_cast<const std::uint32_t*>(&top);
            low[i] = *reinterpret_cast<const std::uint32_t*>(&rest);
        }
#pragma unroll
        for (int p = 0; p < 2; ++p) {
            unsigned char* const to =
                strips + packed_offset(row, (first_piece + p) * 16, 128, kCodedTileRows);
            *reinterpret_cast<uint4*>(to) =
                make_uint4(high[4 * p], high[4 * p + 1], high[4 * p + 2], high[4 * p + 3]);
            *reinterpret_cast<uint4*>(to + NT * kStripBytes) =
                make_uint4(low[4 * p], low[4 * p + 1], low[4 * p + 2], low[4 * p + 3]);
        }
    }
};

template <int NT>
__global__ void __launch_bounds__(kTileThreads) whole_tiles_kernel(HeadProduct call,
                                                                   const float* x,
                                                                   std::int64_t x_stride,
                                                                   float* out,
                                                                   std::int64_t out_stride,
                                                                   int num_rows) {
    __shared__ __align__(128) unsigned char shared[2][2 * NT * kStripBytes];
    let_next_begin();
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const std::int64_t row0 = static_cast<std::int64_t>(blockIdx.x) * kTileWeightRows + warp * 16;
    const int first = static_cast<int>(blockIdx.y) * NT * 8;
    const int num_units = static_cast<int>(call.weight.num_k_blocks()) * 2;
    const WeightStream stream(call.weight, row0, 2);
    WeightUnit weights = stream.load(0);
    wait_for_inputs();
    // A row's 64 columns are four threads'.
    const int own_row = static_cast<int>(threadIdx.x) / 4;
    const int own_col = static_cast<int>(threadIdx.x) % 4 * 16;
    const float* const own =
        x + (first + own_row) * x_stride + row0 / call.rows_per_head * call.x_head_stride + own_col;
    const bool has_row = own_row < NT * 8;
    const auto load = [&](Columns<NT>& columns, int unit) {
        const bool is_there =
            has_row && first + own_row < num_rows && unit * 64 + own_col < call.weight.cols;
        columns.load(is_there ? own + unit * 64 : nullptr);
    };
    Columns<NT> columns;
    load(columns, 0);
    float sums[NT][4] = {};
    for (int unit = 0; unit < num_units; ++unit) {
        unsigned char* const strips = shared[unit % 2];
        if (has_row) columns.store(strips, own_row, own_col / 8);
        WeightUnit next{};
        if (unit + 1 < num_units) {
            load(columns, unit + 1);
            next = stream.load(unit + 1);
        }
        __syncthreads();
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            const uint4 low = weights.low[c];
            const uint4 high = weights.high[c];
            const int offset = lane_offset(c);
#pragma unroll
            for (int strip = 0; strip < 2 * NT; ++strip) {
                const uint4 b = load_piece(strips + strip * kStripBytes + offset);
                float(&sum)[4] = sums[strip % NT];
                mma_bf16(sum, low.x, high.x, low.y, high.y, b.x, b.y);
                mma_bf16(sum, low.z, high.z, low.w, high.w, b.z, b.w);
            }
        }
        weights = next;
    }
    store<NT>(call, sums, row0, first, num_rows, out, out_stride);
}

}  // namespace

void head_product(const HeadProduct& call, MatrixView x, MatrixView out, cudaStream_t stream) {
    CHECK(call.weight.dtype == DType::kBf16 && call.rows_per_head % kHeadRows == 0);
    const auto* from = static_cast<const float*>(x.data);
    auto* to = static_cast<float*>(out.data);
    const auto run = [&](auto kernel, std::int64_t rows_a_block, int threads,
                         std::int64_t columns) {
        const dim3 grid(static_cast<unsigned>((call.weight.rows + rows_a_block - 1) / rows_a_block),
                        static_cast<unsigned>((x.rows + columns - 1) / columns));
        launch(kernel, {grid, static_cast<unsigned>(threads), 0}, stream, call, from, x.stride, to,
               out.stride, static_cast<int>(x.rows));
    };
    const bool is_even = call.rows_per_head % kTileWeightRows == 0 && call.weight.cols % 16 == 0 &&
                         x.stride % 4 == 0 && call.x_head_stride % 4 == 0 &&
                         reinterpret_cast<std::uintptr_t>(from) % 16 == 0;
    constexpr int kRows = kWarps * kHeadRows;
    if (is_even) {
        if (x.rows <= 8) return run(whole_tiles_kernel<1>, kTileWeightRows, kTileThreads, 8);
        if (x.rows <= 32) return run(whole_tiles_kernel<4>, kTileWeightRows, kTileThreads, 32);
        return run(whole_tiles_kernel<8>, kTileWeightRows, kTileThreads, 64);
    }
    if (x.rows <= 8) return run(any_shape_kernel<1>, kRows, kWarps * 32, 8);
    if (x.rows <= 32) return run(any_shape_kernel<4>, kRows, kWarps * 32, 32);
    run(any_shape_kernel<8>, kRows, kWarps * 32, 64);
}

}  // namespace turnpike::kernels::cuda
