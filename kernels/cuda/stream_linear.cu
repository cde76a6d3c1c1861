// See stream_linear.h.
#include "config/base/check.h"
#include "kernels/cuda/device/weight_ring.cuh"
#include "kernels/cuda/stream_linear.h"

namespace turnpike::kernels::cuda {
namespace {

template <DType kDType, int NT>
__global__ void __launch_bounds__(kStreamThreads, Ring<kDType, NT>::kBlocks)
    dense_kernel(WeightView w,
                 StreamedRows x,
                 int num_units,
                 int cluster_size,
                 float* out,
                 std::int64_t out_stride) {
    extern __shared__ __align__(128) unsigned char shared[];
    let_next_begin();
    const Stages<kDType, NT> stages(shared);
    const int tile = static_cast<int>(blockIdx.x) / cluster_size;
    const int rank = static_cast<int>(blockIdx.x) % cluster_size;
    Work work;
    work.pair = {{w, w}, {2 * tile, 2 * tile + 1}};
    work.num_units = num_units;
    work.begin = rank * num_units / cluster_size;
    work.end = (rank + 1) * num_units / cluster_size;
    work.first_tile = static_cast<int>(blockIdx.y) * NT;
    work.num_tiles = x.num_tiles - work.first_tile;
    if (threadIdx.x == 0) stages.init();
    load_weight_scales(stages, work);
    __syncthreads();
    run_pass<kDType, NT, true>(
        stages, work, x, 0, cluster_size, [&](int row, int column, float low, float high) {
            const int m = work.first_tile * 8 + column;
            if (m >= x.num_rows) return;
            float* const to =
                out + m * out_stride + static_cast<std::int64_t>(tile) * kBlockRows + row;
            if (work.pair.tile[0] * kWeightTileRows + row < w.rows) to[0] = low;
            if (work.pair.tile[1] * kWeightTileRows + row < w.rows) to[kBlockRows / 2] = high;
        });
}

__global__ void split_kernel(const float* x, std::int64_t x_stride, SplitRows rows) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    for (std::int64_t c = threadIdx.x; c < rows.stride; c += blockDim.x) {
        const float value = c < rows.cols ? x[m * x_stride + c] : 0.0F;
        const __nv_bfloat16 high = __float2bfloat16_rn(value);
        const __nv_bfloat16 low = __float2bfloat16_rn(value - __bfloat162float(high));
        const std::int64_t at = packed_offset(m, c * 2, rows.stride * 2, kCodedTileRows) / 2;
        rows.high[at] = __bfloat16_as_ushort(high);
        rows.low[at] = __bfloat16_as_ushort(low);
    }
}

// Blocks that share a tile's K: by the weight's shape alone. Enough blocks for two a multiprocessor
// of a Hopper GPU, and units enough for each to fill its ring.
int cluster_size_of(std::int64_t rows, int num_units) {
    constexpr std::int64_t kBlocksAtOnce = 264;
    constexpr int kFewestUnits = 4;
    const std::int64_t tiles = (rows + kBlockRows - 1) / kBlockRows;
    int size = 1;
    while (size < kMaxCluster && tiles * size * 2 <= kBlocksAtOnce &&
           num_units / (size * 2) >= kFewestUnits)
        size *= 2;
    while (num_units / size >= kMaxUnits) size *= 2;
    return size;
}

template <DType kDType, int NT>
void run_dense(const WeightView& w, const StreamedRows& x, MatrixView out, cudaStream_t stream) {
    const int num_units = static_cast<int>(w.num_k_blocks()) * (kDType == DType::kF8E4M3 ? 1 : 2);
    const int size = cluster_size_of(w.rows, num_units);
    CHECK(size <= kMaxCluster);
    const std::int64_t tiles = (w.rows + kBlockRows - 1) / kBlockRows;
    const dim3 grid(static_cast<unsigned>(tiles * size),
                    static_cast<unsigned>((x.num_tiles + NT - 1) / NT));
    launch_clusters(dense_kernel<kDType, NT>, {grid, kStreamThreads, Ring<kDType, NT>::kBytes},
                    size, stream, w, x, num_units, size, static_cast<float*>(out.data), out.stride);
}

template <DType kDType>
void dense(const WeightView& w, const StreamedRows& x, MatrixView out, cudaStream_t stream) {
    CHECK(w.dtype == kDType && out.dtype == DType::kF32);
    CHECK(out.rows == x.num_rows && out.cols == w.rows);
    if (out.rows == 0) return;
    if (x.num_tiles <= 1) return run_dense<kDType, 1>(w, x, out, stream);
    if (x.num_tiles <= 2) return run_dense<kDType, 2>(w, x, out, stream);
    if (x.num_tiles <= 4) return run_dense<kDType, 4>(w, x, out, stream);
    run_dense<kDType, 8>(w, x, out, stream);
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

}  // namespace

void split(MatrixView x, const SplitRows& rows, cudaStream_t stream) {
    CHECK(x.dtype == DType::kF32 && rows.rows == x.rows && rows.cols == x.cols);
    CHECK(rows.stride % kFp8Block == 0);
    if (x.rows == 0) return;
    launch(split_kernel, {dim3(static_cast<unsigned>(x.rows)), 512, 0}, stream,
           static_cast<const float*>(x.data), x.stride, rows);
}

void stream_linear(const CodedRows& x,
                   const WeightView& weight,
                   MatrixView out,
                   cudaStream_t stream) {
    CHECK(x.cols == weight.cols && x.stride == weight.stride);
    dense<DType::kF8E4M3>(weight, streamed(x), out, stream);
}

void stream_linear(const SplitRows& x,
                   const WeightView& weight,
                   MatrixView out,
                   cudaStream_t stream) {
    CHECK(x.cols == weight.cols && x.stride == weight.stride);
    const StreamedRows rows{reinterpret_cast<const unsigned char*>(x.high),
                            reinterpret_cast<const unsigned char*>(x.low),
                            nullptr,
                            0,
                            static_cast<int>((x.rows + 7) / 8),
                            static_cast<int>(x.rows)};
    dense<DType::kBf16>(weight, rows, out, stream);
}

}  // namespace turnpike::kernels::cuda
