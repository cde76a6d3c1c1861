// See stream_linear.h.
#include <algorithm>
#include <iterator>
#include <limits>
#include <type_traits>

#include "config/base/check.h"
#include "kernels/cuda/device/weight_ring.cuh"
#include "kernels/cuda/stream_linear.h"

namespace turnpike::kernels::cuda {
namespace {

// Products with the same x, a tile of 128 rows of weights after the other.
struct Group {
    WeightView weight[kMaxProducts];
    float* out[kMaxProducts];
    std::int64_t out_stride[kMaxProducts];
    int first_tile[kMaxProducts];  // those that are not used: beyond every tile
};

template <class Tiles>
__global__ void __launch_bounds__(kStreamThreads, Tiles::kBlocks) dense_kernel(
    const __grid_constant__ Group group, StreamedRows x, int num_units, int cluster_size) {
    extern __shared__ __align__(128) unsigned char shared[];
    let_next_begin();
    constexpr int NT = Tiles::kColumnTiles;
    const Stages<Tiles> stages(shared);
    int tile = static_cast<int>(blockIdx.x) / cluster_size;
    int product = 0;
    while (product + 1 < kMaxProducts && tile >= group.first_tile[product + 1]) ++product;
    tile -= group.first_tile[product];
    const WeightView& w = group.weight[product];
    float* const out = group.out[product];
    const std::int64_t out_stride = group.out_stride[product];
    const int rank = static_cast<int>(blockIdx.x) % cluster_size;
    Work work;
    work.pair = {{w, w}, {2 * tile, 2 * tile + 1}};
    work.num_units = num_units;
    work.begin = rank * num_units / cluster_size;
    work.end = (rank + 1) * num_units / cluster_size;
    work.first_tile = static_cast<int>(blockIdx.y) * NT;
    work.num_tiles = x.num_tiles - work.first_tile;
    if (threadIdx.x == kStreamWarps * 32) stages.begin(work);
    load_weight_scales(stages, work);
    __syncthreads();
    run_pass<true>(
        stages, work, x, 0, cluster_size, [&](int row, int column, float low, float high) {
            const int m = work.first_tile * 8 + column;
            if (m >= x.num_rows) return;
            float* const to =
                out + m * out_stride + static_cast<std::int64_t>(tile) * kBlockRows + row;
            if (work.pair.tile[0] * kWeightTileRows + row < w.rows) to[0] = low;
            if (work.pair.tile[1] * kWeightTileRows + row < w.rows) to[kBlockRows / 2] = high;
        });
}

constexpr std::int64_t kSplitColumns = 1024;  // of a block

__global__ void split_kernel(const float* x, std::int64_t x_stride, SplitRows rows) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * kSplitColumns;
    const std::int64_t end = min(first + kSplitColumns, rows.stride);
    for (std::int64_t c = first + threadIdx.x; c < end; c += blockDim.x) {
        const float value = c < rows.cols ? x[m * x_stride + c] : 0.0F;
        const __nv_bfloat16 high = __float2bfloat16_rn(value);
        const __nv_bfloat16 low = __float2bfloat16_rn(value - __bfloat162float(high));
        const std::int64_t at = packed_offset(m, c * 2, rows.stride * 2, kCodedTileRows) / 2;
        rows.high[at] = __bfloat16_as_ushort(high);
        rows.low[at] = __bfloat16_as_ushort(low);
    }
}

// Blocks that share a tile's K: by the weights' shapes alone. Enough blocks for two a
// multiprocessor of a Hopper GPU, and units enough for each to fill its ring.
int cluster_size_of(std::int64_t tiles, int num_units) {
    constexpr std::int64_t kBlocksAtOnce = 264;
    constexpr int kFewestUnits = 4;
    int size = 1;
    while (size < kMaxCluster && tiles * size * 2 <= kBlocksAtOnce &&
           num_units / (size * 2) >= kFewestUnits)
        size *= 2;
    while (num_units / size >= kMaxUnits) size *= 2;
    return size;
}

template <class Tiles>
void run_dense(const Group& group,
               std::int64_t tiles,
               int num_units,
               const StreamedRows& x,
               cudaStream_t stream) {
    constexpr int NT = Tiles::kColumnTiles;
    const int size = cluster_size_of(tiles, num_units);
    CHECK(size <= kMaxCluster);
    const dim3 grid(static_cast<unsigned>(tiles * size),
                    static_cast<unsigned>((x.num_tiles + NT - 1) / NT));
    launch_clusters(dense_kernel<Tiles>, {grid, kStreamThreads, Tiles::kBytes}, size, stream, group,
                    x, num_units, size);
}

template <DType kDType>
void dense(const StreamGroup& products, const StreamedRows& x, cudaStream_t stream) {
    CHECK(products.count >= 1 && products.count <= kMaxProducts);
    Group group{};
    std::fill(std::begin(group.first_tile), std::end(group.first_tile),
              std::numeric_limits<int>::max());
    std::int64_t tiles = 0;
    const std::int64_t units_per_block = kDType == DType::kF8E4M3 ? 1 : 2;
    const std::int64_t num_units = products.products[0].weight.num_k_blocks() * units_per_block;
    for (int i = 0; i < products.count; ++i) {
        const auto& [weight, out] = products.products[i];
        CHECK(weight.dtype == kDType && out.dtype == DType::kF32);
        CHECK(out.rows == x.num_rows && out.cols == weight.rows);
        CHECK(weight.num_k_blocks() * units_per_block == num_units);
        group.weight[i] = weight;
        group.out[i] = static_cast<float*>(out.data);
        group.out_stride[i] = out.stride;
        group.first_tile[i] = static_cast<int>(tiles);
        tiles += (weight.rows + kBlockRows - 1) / kBlockRows;
    }
    if (x.num_rows == 0) return;
    const int units = static_cast<int>(num_units);
    if (x.num_tiles <= 1) return run_dense<Ring<kDType, 1, 2>>(group, tiles, units, x, stream);
    if (x.num_tiles <= 2) return run_dense<Ring<kDType, 2, 2>>(group, tiles, units, x, stream);
    if (x.num_tiles <= 4) return run_dense<Ring<kDType, 4, 2>>(group, tiles, units, x, stream);
    run_dense<Ring<kDType, 8, 2>>(group, tiles, units, x, stream);
}

StreamedRows streamed(const CodedRows& x) {
    CHECK(x.scale_stride % 8 == 0);
    return {x.codes,
            nullptr,
            x.scales,
            x.scale_stride,
            static_cast<int>((x.rows + 7) / 8),
            static_cast<int>(x.rows)};
}

template <class Rows>
void check_columns(const Rows& x, const StreamGroup& group) {
    for (int i = 0; i < group.count; ++i) {
        const WeightView& weight = group.products[i].weight;
        CHECK(x.cols == weight.cols && x.stride == weight.stride);
    }
}

}  // namespace

void split(MatrixView x, const SplitRows& rows, cudaStream_t stream) {
    CHECK(x.dtype == DType::kF32 && rows.rows == x.rows && rows.cols == x.cols);
    CHECK(rows.stride % kFp8Block == 0);
    if (x.rows == 0) return;
    const dim3 grid(static_cast<unsigned>(x.rows),
                    static_cast<unsigned>((rows.stride + kSplitColumns - 1) / kSplitColumns));
    launch(split_kernel, {grid, 256, 0}, stream, static_cast<const float*>(x.data), x.stride, rows);
}

void stream_linears(const CodedRows& x, const StreamGroup& group, cudaStream_t stream) {
    check_columns(x, group);
    dense<DType::kF8E4M3>(group, streamed(x), stream);
}

void stream_linears(const SplitRows& x, const StreamGroup& group, cudaStream_t stream) {
    check_columns(x, group);
    const StreamedRows rows{reinterpret_cast<const unsigned char*>(x.high),
                            reinterpret_cast<const unsigned char*>(x.low),
                            nullptr,
                            0,
                            static_cast<int>((x.rows + 7) / 8),
                            static_cast<int>(x.rows)};
    dense<DType::kBf16>(group, rows, stream);
}

void stream_linear(const CodedRows& x,
                   const WeightView& weight,
                   MatrixView out,
                   cudaStream_t stream) {
    stream_linears(x, {{{weight, out}}, 1}, stream);
}

void stream_linear(const SplitRows& x,
                   const WeightView& weight,
                   MatrixView out,
                   cudaStream_t stream) {
    stream_linears(x, {{{weight, out}}, 1}, stream);
}

}  // namespace turnpike::kernels::cuda
