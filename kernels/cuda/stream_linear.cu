// See stream_linear.h. One thread copies units of 128 bytes of K, 16 KB of weights and the rows of
// x beside them, into a ring; eight warps multiply 16 rows of weights each (swapped: weights are
// the operand with 16 rows, tokens the one with 8 columns).
#include <algorithm>
#include <type_traits>

#include "config/base/check.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/device/ring.cuh"
#include "kernels/cuda/device/tiles.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/stream_linear.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kWarps = 8;                    // that multiply
constexpr int kThreads = (kWarps + 1) * 32;  // and one that copies
constexpr int kBlockRows = 128;              // of weights
constexpr int kTileBytes = kWeightTileRows * 128;
constexpr int kStripBytes = kCodedTileRows * 128;
constexpr int kMaxUnits = 256;  // of one block's K
constexpr int kMaxCluster = 8;

enum class Kind { kDense, kGateUp, kDown };

// x: FP8 codes and scales, or the high and low BF16 parts.
struct StreamedRows {
    const unsigned char* codes;
    const unsigned char* low;
    const float* scales;
    std::int64_t scale_stride;
    int num_tiles;  // of 8 rows
    int num_rows;
};

template <DType kDType, int NT>
struct Ring {
    static constexpr bool kIsFp8 = kDType == DType::kF8E4M3;
    static constexpr int kParts = kIsFp8 ? 1 : 2;
    static constexpr int kScaleBytes = kIsFp8 ? NT * 8 * 4 : 0;
    static constexpr int kRowBytes = NT * kStripBytes * kParts;
    static constexpr int kStageBytes = 2 * kTileBytes + kRowBytes + kScaleBytes;
    static constexpr int kMost = NT <= 8 ? 104 * 1024 : 200 * 1024;
    static constexpr int kStages = std::min(8, kMost / kStageBytes);
    // The sums of the block lie where the ring was.
    static constexpr int kSumBytes = kBlockRows * NT * 8 * 4;
    static constexpr int kRingBytes = std::max(kStages * kStageBytes, kSumBytes);
    static constexpr int kWeightScaleBytes = kIsFp8 ? 2 * kMaxUnits * 4 : 0;
    static constexpr int kBytes = kRingBytes + kWeightScaleBytes + 2 * kStages * 8 + 128;
    static constexpr int kBlocks = NT <= 8 ? 2 : 1;
    static_assert(kStages >= 3);
};

// Two tiles of 64 rows of weights: a dense matrix's neighbours, or an expert's gate and up.
struct TilePair {
    WeightView weight[2];
    std::int64_t tile[2];

    __device__ bool has(int i) const { return tile[i] * kWeightTileRows < weight[i].rows; }

    __device__ const unsigned char* at(int i, int unit, int num_units) const {
        return static_cast<const unsigned char*>(weight[i].data) +
               (tile[i] * num_units + unit) * kTileBytes;
    }

    __device__ float scale(int i, int unit) const {
        return weight[i]
            .scales[tile[i] * kWeightTileRows / kFp8Block * weight[i].num_k_blocks() + unit];
    }
};

// What one block has to do.
struct Work {
    TilePair pair;
    int num_units;   // of the whole K
    int begin, end;  // of this block's
    int first_tile;  // of the columns, in tiles of 8
    int num_tiles;
};

// What lane 4 g + t reads of a tile's strip: pieces t and 4 + t of row g.
__device__ int lane_offset() {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    return lane % 4 * 128 + static_cast<int>(packed_place(lane / 4, lane % 4)) * 16;
}

__device__ uint4 load_piece(const unsigned char* at) {
    return *reinterpret_cast<const uint4*>(at);
}

// 16 FP8 codes as F16.
struct HalfPiece {
    std::uint32_t words[8];

    __device__ explicit HalfPiece(const uint4& codes) {
        fp8_to_f16(codes.x, words[0], words[1]);
        fp8_to_f16(codes.y, words[2], words[3]);
        fp8_to_f16(codes.z, words[4], words[5]);
        fp8_to_f16(codes.w, words[6], words[7]);
    }
};

// One unit of one warp's 16 rows of FP8 weights times FP8 rows: sums[nt] += their product, times
// both scales. The products of 64 channels are summed, then scaled.
template <int NT>
__device__ void multiply_codes(const unsigned char* stage,
                               const unsigned char* weights,
                               float w_scale,
                               float (&sums)[NT][4]) {
    const unsigned char* const rows = stage + 2 * kTileBytes + lane_offset();
    const auto* const scales = reinterpret_cast<const float*>(stage + 2 * kTileBytes +
                                                              Ring<DType::kF8E4M3, NT>::kRowBytes) +
                               threadIdx.x % 4 * 2;
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const HalfPiece low(load_piece(weights + c * 512));
        const HalfPiece high(load_piece(weights + kStripBytes + c * 512));
#pragma unroll
        for (int nt = 0; nt < NT; ++nt) {
            const HalfPiece b(load_piece(rows + nt * kStripBytes + c * 512));
            float part[4] = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
            for (int w = 0; w < 8; w += 2) {
                mma_f16(part, low.words[w], high.words[w], low.words[w + 1], high.words[w + 1],
                        b.words[w], b.words[w + 1]);
            }
            const float2 scale = *reinterpret_cast<const float2*>(scales + nt * 8);
            sums[nt][0] += part[0] * (scale.x * w_scale);
            sums[nt][1] += part[1] * (scale.y * w_scale);
            sums[nt][2] += part[2] * (scale.x * w_scale);
            sums[nt][3] += part[3] * (scale.y * w_scale);
        }
    }
}

// The same of BF16 weights and rows in two BF16 parts.
template <int NT>
__device__ void multiply_parts(const unsigned char* stage,
                               const unsigned char* weights,
                               float (&sums)[NT][4]) {
    const unsigned char* const rows = stage + 2 * kTileBytes + lane_offset();
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const uint4 low = load_piece(weights + c * 512);
        const uint4 high = load_piece(weights + kStripBytes + c * 512);
#pragma unroll
        for (int strip = 0; strip < 2 * NT; ++strip) {
            const uint4 b = load_piece(rows + strip * kStripBytes + c * 512);
            mma_bf16(sums[strip % NT], low.x, high.x, low.y, high.y, b.x, b.y);
            mma_bf16(sums[strip % NT], low.z, high.z, low.w, high.w, b.z, b.w);
        }
    }
}

template <DType kDType, int NT>
__device__ void multiply(const unsigned char* stage,
                         int warp,
                         float w_scale,
                         float (&sums)[NT][4]) {
    const unsigned char* const weights = stage + warp * 2 * kStripBytes + lane_offset();
    if constexpr (kDType == DType::kF8E4M3)
        multiply_codes<NT>(stage, weights, w_scale, sums);
    else
        multiply_parts<NT>(stage, weights, sums);
}

// The ring, its barriers and how far it has come.
template <DType kDType, int NT>
class Stages {
  public:
    using Tiles = Ring<kDType, NT>;

    __device__ explicit Stages(unsigned char* shared)
        : data_(shared),
          at_(shared_address(shared)),
          full_(at_ + Tiles::kRingBytes + Tiles::kWeightScaleBytes),
          empty_(full_ + Tiles::kStages * 8) {}

    __device__ void init() const {
        for (int s = 0; s < Tiles::kStages; ++s) {
            barrier_init(full_ + s * 8, 1);
            barrier_init(empty_ + s * 8, kWarps);
        }
        fence_barriers();
    }

    // Copies of iteration i, once its stage was read.
    __device__ void copy_weights(int i, const Work& work, int unit) const {
        const int s = i % Tiles::kStages;
        if (i >= Tiles::kStages) barrier_wait(empty_ + s * 8, (i / Tiles::kStages - 1) & 1);
        const int present = (work.pair.has(0) ? 1 : 0) + (work.pair.has(1) ? 1 : 0);
        const int tiles = columns(work, 0);
        barrier_expect(
            full_ + s * 8,
            static_cast<std::uint32_t>(present * kTileBytes + tiles * kStripBytes * Tiles::kParts +
                                       (Tiles::kIsFp8 ? tiles * 32 : 0)));
        for (int p = 0; p < 2; ++p) {
            if (work.pair.has(p))
                bulk_copy_once(stage(s) + static_cast<std::uint32_t>(p * kTileBytes),
                               work.pair.at(p, unit, work.num_units), kTileBytes, full_ + s * 8);
        }
    }

    __device__ void copy_rows(int i, const Work& work, const StreamedRows& x, int unit) const {
        const int s = i % Tiles::kStages;
        const int tiles = columns(work, 0);
        const std::uint32_t to = stage(s) + 2 * kTileBytes;
        for (int n = 0; n < tiles; ++n) {
            const std::int64_t strip =
                (static_cast<std::int64_t>(work.first_tile + n) * work.num_units + unit) *
                kStripBytes;
            bulk_copy(to + static_cast<std::uint32_t>(n * kStripBytes), x.codes + strip,
                      kStripBytes, full_ + s * 8);
            if constexpr (!Tiles::kIsFp8)
                bulk_copy(to + static_cast<std::uint32_t>((NT + n) * kStripBytes), x.low + strip,
                          kStripBytes, full_ + s * 8);
        }
        if constexpr (Tiles::kIsFp8) {
            bulk_copy(
                to + Tiles::kRowBytes,
                x.scales + unit * x.scale_stride + static_cast<std::int64_t>(work.first_tile) * 8,
                static_cast<std::uint32_t>(tiles * 32), full_ + s * 8);
        }
    }

    __device__ const unsigned char* wait_full(int i) const {
        const int s = i % Tiles::kStages;
        barrier_wait(full_ + s * 8, (i / Tiles::kStages) & 1);
        return data_ + s * Tiles::kStageBytes;
    }

    __device__ void free(int i) const { barrier_arrive(empty_ + i % Tiles::kStages * 8); }

    __device__ float* weight_scales() const {
        return reinterpret_cast<float*>(data_ + Tiles::kRingBytes);
    }

    __device__ float* sums() const { return reinterpret_cast<float*>(data_); }

    // Column tiles of one pass.
    __device__ static int columns(const Work& work, int) { return min(NT, work.num_tiles); }

  private:
    __device__ std::uint32_t stage(int s) const {
        return at_ + static_cast<std::uint32_t>(s * Tiles::kStageBytes);
    }

    unsigned char* data_;
    std::uint32_t at_;
    std::uint32_t full_;
    std::uint32_t empty_;
};

// The block's 128 rows times up to NT * 8 columns, over its share of K: added over the cluster, the
// sums of row r and column c are given to finish(r, c, sum) once, by the block whose rows they are.
// `base`: iterations of the ring before this pass.
template <DType kDType, int NT, bool kIsFirst, class Finish>
__device__ void run_pass(const Stages<kDType, NT>& stages,
                         const Work& work,
                         const StreamedRows& x,
                         int base,
                         int cluster_size,
                         Finish finish) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int count = work.end - work.begin;
    float sums[NT][4] = {};
    if (warp == kWarps) {
        if (lane == 0) {
            constexpr int kStages = Ring<kDType, NT>::kStages;
            const int ahead = kIsFirst ? min(count, kStages) : 0;
            // Weights do not depend on the kernels ahead.
            for (int i = 0; i < ahead; ++i) stages.copy_weights(i, work, work.begin + i);
            if (kIsFirst) wait_for_inputs();
            for (int i = 0; i < ahead; ++i) stages.copy_rows(i, work, x, work.begin + i);
            for (int i = ahead; i < count; ++i) {
                stages.copy_weights(base + i, work, work.begin + i);
                stages.copy_rows(base + i, work, x, work.begin + i);
            }
        }
        __syncwarp();
    } else {
        const int pair = warp / 4;
        const float* const scales = stages.weight_scales() + pair * kMaxUnits;
        const bool has_rows = work.pair.has(pair);
        for (int i = 0; i < count; ++i) {
            const unsigned char* const stage = stages.wait_full(base + i);
            const float scale = kDType == DType::kF8E4M3 ? scales[i] : 1.0F;
            if (has_rows) multiply<kDType, NT>(stage, warp, scale, sums);
            __syncwarp();
            if (lane == 0) stages.free(base + i);
        }
    }
    // All copies have landed and were read: the ring's memory holds the sums now.
    __syncthreads();
    float* const own = stages.sums();
    if (warp < kWarps) {
        for (int nt = 0; nt < NT; ++nt) {
            for (int j = 0; j < 4; ++j) {
                const int column = nt * 8 + lane % 4 * 2 + j % 2;
                own[column * kBlockRows + warp * 16 + lane / 4 + j / 2 * 8] = sums[nt][j];
            }
        }
    }
    cluster_barrier();
    const int columns = stages.columns(work, 0) * 8;
    const int rows = kBlockRows / 2 / cluster_size;  // of each of the two tiles
    const int rank = static_cast<int>(cluster_rank());
    for (int i = static_cast<int>(threadIdx.x); i < columns * rows; i += kThreads) {
        const int column = i / rows;
        const int row = rank * rows + i % rows;
        float total[2] = {0.0F, 0.0F};
        for (int p = 0; p < 2; ++p) {
            const auto* const at = own + column * kBlockRows + p * (kBlockRows / 2) + row;
            if (cluster_size == 1) {
                total[p] = *at;
            } else {
                for (int r = 0; r < cluster_size; ++r)
                    total[p] += read_cluster(shared_address(at), static_cast<std::uint32_t>(r));
            }
        }
        finish(row, column, total[0], total[1]);
    }
    fence_copies();
    cluster_barrier();
}

template <DType kDType, int NT>
__device__ void load_weight_scales(const Stages<kDType, NT>& stages, const Work& work) {
    if constexpr (kDType == DType::kF8E4M3) {
        for (int p = 0; p < 2; ++p) {
            if (!work.pair.has(p)) continue;
            for (int i = static_cast<int>(threadIdx.x); i < work.end - work.begin; i += kThreads)
                stages.weight_scales()[p * kMaxUnits + i] = work.pair.scale(p, work.begin + i);
        }
    }
}

template <DType kDType, int NT>
__global__ void __launch_bounds__(kThreads, Ring<kDType, NT>::kBlocks)
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

// gridDim.y: at least the experts that have slots. Passes of NT * 8 positions.
template <Kind kKind, int NT>
__global__ void __launch_bounds__(kThreads, Ring<DType::kF8E4M3, NT>::kBlocks)
    experts_kernel(const ExpertView* experts,
                   RoutingView routing,
                   StreamedRows x,
                   int num_units,
                   float* out,
                   std::int64_t out_stride) {
    extern __shared__ __align__(128) unsigned char shared[];
    constexpr DType kDType = DType::kF8E4M3;
    let_next_begin();
    wait_for_inputs();
    const int expert = routing.active[blockIdx.y];
    if (expert < 0) return;
    const Stages<kDType, NT> stages(shared);
    const ExpertView& view = experts[expert];
    const int tile = static_cast<int>(blockIdx.x);
    const int first = routing.positions[expert];
    const int last = first + routing.offsets[expert + 1] - routing.offsets[expert];
    Work work;
    if constexpr (kKind == Kind::kGateUp)
        work.pair = {{view.gate, view.up}, {tile, tile}};
    else
        work.pair = {{view.down, view.down}, {2 * tile, 2 * tile + 1}};
    work.num_units = num_units;
    work.begin = 0;
    work.end = num_units;
    if (threadIdx.x == 0) stages.init();
    load_weight_scales(stages, work);
    __syncthreads();
    int base = 0;
    for (int position = first; position < last; position += NT * 8, base += num_units) {
        work.first_tile = position / 8;
        work.num_tiles = (last - position + 7) / 8;
        run_pass<kDType, NT, false>(
            stages, work, x, base, 1, [&](int row, int column, float low, float high) {
                const int p = position + column;
                if (p >= last) return;
                if constexpr (kKind == Kind::kGateUp) {
                    const std::int64_t n = work.pair.tile[0] * kWeightTileRows + row;
                    if (n < work.pair.weight[0].rows)
                        out[p * out_stride + n] = low / (1.0F + expf(-low)) * high;
                } else {
                    float* const to = out + routing.slots[p] * out_stride +
                                      static_cast<std::int64_t>(tile) * kBlockRows + row;
                    if (work.pair.tile[0] * kWeightTileRows + row < work.pair.weight[0].rows)
                        to[0] = low;
                    if (work.pair.tile[1] * kWeightTileRows + row < work.pair.weight[0].rows)
                        to[kBlockRows / 2] = high;
                }
            });
    }
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

__global__ void gather_codes_kernel(CodedRows x, RoutingView routing, CodedRows coded) {
    let_next_begin();
    wait_for_inputs();
    const int p = static_cast<int>(blockIdx.x);
    const int slot = routing.slots[p];
    if (slot < 0) return;
    const std::int64_t row = slot / routing.num_chosen;
    for (std::int64_t byte = threadIdx.x * 16; byte < x.stride; byte += blockDim.x * 16) {
        *reinterpret_cast<uint4*>(coded.codes + packed_offset(p, byte, x.stride, kCodedTileRows)) =
            *reinterpret_cast<const uint4*>(x.codes +
                                            packed_offset(row, byte, x.stride, kCodedTileRows));
    }
    for (std::int64_t b = threadIdx.x; b < x.stride / 128; b += blockDim.x)
        coded.scales[b * coded.scale_stride + p] = x.scales[b * x.scale_stride + row];
}

__global__ void quantise_positions_kernel(const float* x,
                                          std::int64_t x_stride,
                                          RoutingView routing,
                                          CodedRows coded) {
    let_next_begin();
    wait_for_inputs();
    const int p = static_cast<int>(blockIdx.x);
    if (routing.slots[p] < 0) return;
    const float* row = x + p * x_stride;
    quantise_row(p, coded.cols, coded, [=](std::int64_t c) { return row[c]; });
}

// Launches with clusters, and so that it may begin early.
template <class... Parameters, class... Arguments>
void launch_clusters(void (*kernel)(Parameters...),
                     const Shape& shape,
                     int cluster_size,
                     cudaStream_t stream,
                     Arguments... arguments) {
    CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shape.shared_bytes)));
    cudaLaunchAttribute attributes[2]{};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim = {static_cast<unsigned>(cluster_size), 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = shape.grid;
    config.blockDim = dim3(shape.threads);
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = 2;
    CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
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
    launch_clusters(dense_kernel<kDType, NT>, {grid, kThreads, Ring<kDType, NT>::kBytes}, size,
                    stream, w, x, num_units, size, static_cast<float*>(out.data), out.stride);
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

template <Kind kKind>
void experts(const CodedRows& x,
             const RoutingView& routing,
             const ExpertView* table,
             const WeightView& w,
             std::int64_t rows_per_block,
             MatrixView out,
             cudaStream_t stream) {
    CHECK(w.dtype == DType::kF8E4M3 && x.stride == w.stride && x.rows == routing.max_positions());
    if (routing.rows == 0) return;
    const int num_units = static_cast<int>(w.num_k_blocks());
    CHECK(num_units <= kMaxUnits);
    const dim3 grid(static_cast<unsigned>((w.rows + rows_per_block - 1) / rows_per_block),
                    static_cast<unsigned>(routing.max_active()));
    const auto run = [&](auto nt) {
        constexpr int kTiles = decltype(nt)::value;
        launch_clusters(experts_kernel<kKind, kTiles>,
                        {grid, kThreads, Ring<DType::kF8E4M3, kTiles>::kBytes}, 1, stream, table,
                        routing, streamed(x), num_units, static_cast<float*>(out.data), out.stride);
    };
    // By the slots of an average expert.
    const std::int64_t average = routing.num_slots() / routing.num_experts;
    if (average <= 4) return run(std::integral_constant<int, 1>());
    if (average <= 8) return run(std::integral_constant<int, 2>());
    run(std::integral_constant<int, 8>());
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

void gather_codes(const CodedRows& x,
                  const RoutingView& routing,
                  const CodedRows& coded,
                  cudaStream_t stream) {
    CHECK(coded.rows == routing.max_positions() && coded.stride == x.stride &&
          x.rows == routing.rows);
    if (x.rows == 0) return;
    launch(gather_codes_kernel, {dim3(static_cast<unsigned>(coded.rows)), 256, 0}, stream, x,
           routing, coded);
}

void stream_gate_up(const CodedRows& x,
                    const RoutingView& routing,
                    const ExpertView* experts_table,
                    const ExpertView& shape,
                    MatrixView out,
                    cudaStream_t stream) {
    CHECK(out.rows == routing.max_positions() && out.cols == shape.gate.rows);
    CHECK(shape.gate.rows == shape.up.rows && shape.gate.cols == shape.up.cols);
    experts<Kind::kGateUp>(x, routing, experts_table, shape.gate, kBlockRows / 2, out, stream);
}

void quantise_positions(MatrixView x,
                        const RoutingView& routing,
                        const CodedRows& coded,
                        cudaStream_t stream) {
    CHECK(x.rows == routing.max_positions() && coded.rows == x.rows && coded.cols == x.cols);
    if (routing.rows == 0) return;
    launch(quantise_positions_kernel, {dim3(static_cast<unsigned>(x.rows)), 256, 0}, stream,
           static_cast<const float*>(x.data), x.stride, routing, coded);
}

void stream_down(const CodedRows& x,
                 const RoutingView& routing,
                 const ExpertView* experts_table,
                 const ExpertView& shape,
                 MatrixView out,
                 cudaStream_t stream) {
    CHECK(out.rows == routing.num_slots() && out.cols == shape.down.rows);
    experts<Kind::kDown>(x, routing, experts_table, shape.down, kBlockRows, out, stream);
}

}  // namespace turnpike::kernels::cuda
