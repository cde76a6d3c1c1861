// See gemm.h. A block computes tiles of 128 rows by 256 rows of weights, one after the other: one
// warp copies 128 channels of both at a time into a ring, two warpgroups multiply 128 rows of
// weights each.
#include "config/base/check.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/device/ring.cuh"
#include "kernels/cuda/device/tiles.cuh"
#include "kernels/cuda/device/wgmma.cuh"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/linear_plan.h"
#include "kernels/cuda/stream_linear.h"
#include "kernels/cuda/tensor_map.h"

namespace turnpike::kernels::cuda {
namespace {

enum class Kind { kDense, kGateUp, kDown };

constexpr int kWarpgroups = 2;  // that multiply
constexpr int kThreads = (kWarpgroups + 1) * 128;
constexpr int kTileRows = 128;                 // of x
constexpr int kTileStrips = kTileRows / 8;     // of x
constexpr int kGroupRows = 128;                // of weights, of a warpgroup
constexpr int kWeightTiles = 2 * kWarpgroups;  // of 64 rows, of a block
constexpr int kWeightTileBytes = 64 * 128;
constexpr int kStripBytes = 8 * 128;
constexpr int kRowBytes = kTileStrips * kStripBytes;
constexpr int kWeightBytes = kWeightTiles * kWeightTileBytes;
constexpr int kStageBytes = kRowBytes + kWeightBytes;
constexpr int kScaleBytes = kTileRows * 4;
constexpr int kStages = 4;
constexpr int kMaxExperts = 512;
constexpr int kTurn = 1;  // the barriers whose turn it is to multiply: of the first, of the second
constexpr int kBarrierBytes = 2 * kStages * 8;
constexpr int kSharedBytes =
    kStages * (kStageBytes + kScaleBytes) + kBarrierBytes + (kMaxExperts + 1) * 4 + 1024;

struct Rows {
    const float* scales;
    std::int64_t scale_stride;
    int num_strips;
    int num_units;  // of 128 channels
    int num_rows;
};

struct Output {
    float* data;
    std::int64_t stride;
    bool is_aligned;  // every fourth column of every row, at 16 bytes
};

// Where one tile's operands and results are.
struct Tile {
    WeightView weights[2];  // the two matrices that the warpgroups' first and second 64 rows are of
    int weight_tile;        // the first of the block's, in tiles of 64 rows
    int first_row;          // of x, a multiple of 8
    int last_row;
};

template <Kind kKind>
__device__ inline WeightView weight_of(const Tile& tile, int i) {
    if constexpr (kKind == Kind::kGateUp) return i % 2 == 0 ? tile.weights[0] : tile.weights[1];
    return tile.weights[0];
}

// Tile i of the block's four lies at this tile of its matrix: gate and up by turns, or all in a
// row.
template <Kind kKind>
__device__ inline int weight_place(const Tile& tile, int i) {
    return tile.weight_tile + (kKind == Kind::kGateUp ? i / 2 : i);
}

template <Kind kKind>
__device__ inline bool has_weights(const Tile& tile, int i) {
    return weight_place<kKind>(tile, i) * kWeightTileRows < weight_of<kKind>(tile, i).rows;
}

// The shared memory of a block.
struct Memory {
    __device__ explicit Memory(unsigned char* shared) {
        const std::uint32_t raw = shared_address(shared);
        at = (raw + 1023) & ~1023U;
        unsigned char* const data = shared + (at - raw);
        scales = reinterpret_cast<float*>(data + kStages * kStageBytes);
        full = at + kStages * (kStageBytes + kScaleBytes);
        empty = full + kStages * 8;
        starts =
            reinterpret_cast<int*>(data + kStages * (kStageBytes + kScaleBytes) + kBarrierBytes);
    }

    __device__ std::uint32_t rows(int s) const {
        return at + static_cast<std::uint32_t>(s * kStageBytes);
    }

    __device__ std::uint32_t weights(int s) const { return rows(s) + kRowBytes; }

    __device__ std::uint32_t scales_at(int s) const {
        return at + static_cast<std::uint32_t>(kStages * kStageBytes + s * kScaleBytes);
    }

    std::uint32_t at;
    std::uint32_t full;
    std::uint32_t empty;
    float* scales;  // [kStages][kTileRows]
    int* starts;    // of each expert's tiles, and their end
};

// Which tiles a block computes: rows of x change fastest, so that blocks at work share weights.
template <Kind kKind>
class Schedule {
  public:
    __device__ Schedule(const ExpertView* experts,
                        const RoutingView& routing,
                        const WeightView& dense,
                        const Rows& x,
                        const int* starts)
        : experts_(experts), routing_(routing), dense_(dense), x_(x), starts_(starts) {
        next_ = static_cast<int>(blockIdx.x);
        if constexpr (kKind == Kind::kDense) {
            rows_ = (x.num_rows + kTileRows - 1) / kTileRows;
            end_ = rows_ * columns(dense.rows);
        } else {
            end_ = starts[routing.num_experts];
        }
    }

    // Tiles of weights beside each other.
    __device__ static int columns(std::int64_t rows) {
        constexpr int kBlockRows = kKind == Kind::kGateUp ? kGroupRows : kWarpgroups * kGroupRows;
        return static_cast<int>((rows + kBlockRows - 1) / kBlockRows);
    }

    // Of one expert.
    __device__ static int tiles(const RoutingView& routing, int expert, std::int64_t rows) {
        const int count = routing.offsets[expert + 1] - routing.offsets[expert];
        return (count + kTileRows - 1) / kTileRows * columns(rows);
    }

    __device__ bool next(Tile& tile) {
        if (next_ >= end_) return false;
        if constexpr (kKind == Kind::kDense) {
            tile.weights[0] = dense_;
            tile.weights[1] = dense_;
            tile.weight_tile = next_ / rows_ * kWeightTiles;
            tile.first_row = next_ % rows_ * kTileRows;
            tile.last_row = min(tile.first_row + kTileRows, x_.num_rows);
        } else {
            while (next_ >= starts_[expert_ + 1]) ++expert_;
            const ExpertView& view = experts_[expert_];
            tile.weights[0] = kKind == Kind::kGateUp ? view.gate : view.down;
            tile.weights[1] = kKind == Kind::kGateUp ? view.up : view.down;
            const int count = routing_.offsets[expert_ + 1] - routing_.offsets[expert_];
            const int rows = (count + kTileRows - 1) / kTileRows;
            const int i = next_ - starts_[expert_];
            tile.weight_tile = i / rows * (kKind == Kind::kGateUp ? kWarpgroups : kWeightTiles);
            const int first = routing_.positions[expert_];
            tile.first_row = first + i % rows * kTileRows;
            tile.last_row = min(tile.first_row + kTileRows, first + count);
        }
        next_ += static_cast<int>(gridDim.x);
        return true;
    }

  private:
    const ExpertView* experts_;
    const RoutingView& routing_;
    const WeightView& dense_;
    const Rows& x_;
    const int* starts_;
    int next_;
    int end_;
    int rows_ = 1;
    int expert_ = 0;
};

// starts[e]: tiles of the experts before e. All threads of the block.
template <Kind kKind>
__device__ void find_starts(const RoutingView& routing, std::int64_t rows, int* starts) {
    const int num_experts = static_cast<int>(routing.num_experts);
    for (int e = static_cast<int>(threadIdx.x); e < num_experts; e += kThreads)
        starts[e + 1] = Schedule<kKind>::tiles(routing, e, rows);
    __syncthreads();
    if (threadIdx.x < 32) {
        const int lane = static_cast<int>(threadIdx.x);
        int before = 0;
        for (int first = 0; first < num_experts; first += 32) {
            int sum = first + lane < num_experts ? starts[first + lane + 1] : 0;
            for (int step = 1; step < 32; step *= 2) {
                const int lower = __shfl_up_sync(0xFFFFFFFFU, sum, step);
                if (lane >= step) sum += lower;
            }
            if (first + lane < num_experts) starts[first + lane + 1] = before + sum;
            before += __shfl_sync(0xFFFFFFFFU, sum, 31);
        }
        if (lane == 0) starts[0] = 0;
    }
    __syncthreads();
}

// One warp: copies unit `unit` of the tile to stage s. Rows that are not there come as zeros.
template <Kind kKind>
__device__ void copy_unit(const Memory& memory,
                          const Rows& x,
                          const CUtensorMap& codes,
                          const Tile& tile,
                          int unit,
                          int s) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const std::uint32_t full = memory.full + static_cast<std::uint32_t>(s * 8);
    const int first_strip = tile.first_row / 8;
    const int strips = min(kTileStrips, x.num_strips - first_strip);
    if (lane == 0) {
        int tiles = 0;
        for (int i = 0; i < kWeightTiles; ++i) tiles += has_weights<kKind>(tile, i) ? 1 : 0;
        barrier_expect(
            full, static_cast<std::uint32_t>(tiles * kWeightTileBytes + kRowBytes + strips * 32));
        copy_strips(memory.rows(s), codes, unit, first_strip, full);
        bulk_copy(memory.scales_at(s), x.scales + unit * x.scale_stride + tile.first_row,
                  static_cast<std::uint32_t>(strips * 32), full);
    }
    __syncwarp();
    if (lane < kWeightTiles && has_weights<kKind>(tile, lane)) {
        const WeightView weight = weight_of<kKind>(tile, lane);
        const auto* const from =
            static_cast<const unsigned char*>(weight.data) +
            (static_cast<std::int64_t>(weight_place<kKind>(tile, lane)) * x.num_units + unit) *
                kWeightTileBytes;
        bulk_copy(memory.weights(s) + static_cast<std::uint32_t>(lane * kWeightTileBytes), from,
                  kWeightTileBytes, full);
    }
}

template <Kind kKind>
__device__ void run_copies(const Memory& memory,
                           const Rows& x,
                           const CUtensorMap& codes,
                           Schedule<kKind> schedule) {
    Tile tile;
    int i = 0;
    while (schedule.next(tile)) {
        for (int unit = 0; unit < x.num_units; ++unit, ++i) {
            const int s = i % kStages;
            if (i >= kStages) {
                barrier_wait(memory.empty + static_cast<std::uint32_t>(s * 8),
                             static_cast<std::uint32_t>(i / kStages - 1) & 1);
            }
            copy_unit<kKind>(memory, x, codes, tile, unit, s);
        }
    }
}

// sums[half] += the products of 64 rows, times both scales. The scales of gate and up differ.
template <Kind kKind>
__device__ void scale_and_add(const float (&products)[64],
                              const float (&row_scales)[2],
                              const float (&weight_scales)[2],
                              float (&sums)[64]) {
    float scales[2][2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        scales[0][h] = row_scales[h] * weight_scales[0];
        scales[1][h] = kKind == Kind::kGateUp ? row_scales[h] * weight_scales[1] : scales[0][h];
    }
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[i] += products[i] * scales[i / 32][i / 2 % 2];
}

// Scales of a warpgroup's weights, 32 units of K at a time, one a lane.
template <Kind kKind>
class WeightScales {
  public:
    __device__ WeightScales(const Tile& tile, int group, int num_units) : num_units_(num_units) {
        for (int i = 0; i < kCount; ++i) {
            const WeightView weight = weight_of<kKind>(tile, i);
            const std::int64_t last = (weight.rows - 1) / kFp8Block;
            const std::int64_t block =
                weight_place<kKind>(tile, 2 * group + i) * kWeightTileRows / kFp8Block;
            from_[i] = weight.scales + min(block, last) * num_units;
        }
    }

    __device__ void get(int unit, float (&scales)[2]) {
        const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            if (unit % 32 == 0) own_[i] = unit + lane < num_units_ ? from_[i][unit + lane] : 0.0F;
            scales[i] = __shfl_sync(0xFFFFFFFFU, own_[i], unit % 32);
        }
    }

  private:
    static constexpr int kCount = kKind == Kind::kGateUp ? 2 : 1;

    const float* from_[kCount];
    float own_[kCount];
    int num_units_;
};

// Four neighbouring columns a thread, of two strips beside each other: a thread holds two columns
// of each, two apart. Threads 0 and 1 of a quad get those of the first strip, 2 and 3 of the
// second.
__device__ inline float4 neighbours(float2 first, float2 second) {
    const bool is_low = threadIdx.x % 4 < 2;
    const float2 given = is_low ? second : first;
    const float x = __shfl_xor_sync(0xFFFFFFFFU, given.x, 2);
    const float y = __shfl_xor_sync(0xFFFFFFFFU, given.y, 2);
    return is_low ? make_float4(first.x, x, first.y, y) : make_float4(x, second.x, y, second.y);
}

__device__ inline void store_four(float* to, float4 four, std::int64_t left, bool is_aligned) {
    if (is_aligned && left >= 4) {
        __stcs(reinterpret_cast<float4*>(to), four);
        return;
    }
    const float values[4] = {four.x, four.y, four.z, four.w};
    for (int i = 0; i < 4; ++i) {
        if (i < left) to[i] = values[i];
    }
}

// What thread holds at j of row h, times SwiGLU of the experts' gate and up.
template <Kind kKind>
__device__ inline float2 result(const float (&sums)[64], int j, int h) {
    float values[2];
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        values[c] = sums[4 * j + 2 * h + c];
        if constexpr (kKind == Kind::kGateUp)
            values[c] = values[c] / (1.0F + expf(-values[c])) * sums[32 + 4 * j + 2 * h + c];
    }
    return make_float2(values[0], values[1]);
}

// Writes 64 rows of a warpgroup. A thread's rows and columns are lines of strips: packed_row().
template <Kind kKind>
__device__ void store(const Tile& tile,
                      const RoutingView& routing,
                      const Output& out,
                      int group,
                      int half,
                      const float (&sums)[64]) {
    constexpr int kStrips = kKind == Kind::kGateUp ? 8 : 16;
    const int warp = static_cast<int>(threadIdx.x) / 32 % 4;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const std::int64_t first_col =
        static_cast<std::int64_t>(weight_place<kKind>(tile, 2 * group)) * kWeightTileRows +
        lane % 2 * 4 + lane % 4 / 2 * 8;
    const std::int64_t left = tile.weights[0].rows - first_col;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        const int row =
            tile.first_row + half * 64 + warp * 16 + h * 8 + static_cast<int>(packed_row(lane / 4));
        const bool is_there = row < tile.last_row;
        std::int64_t to_row = row;
        if constexpr (kKind == Kind::kDown) to_row = is_there ? routing.slots[row] : 0;
        float* const to = out.data + to_row * out.stride + first_col;
#pragma unroll
        for (int j = 0; j < kStrips; j += 2) {
            const float4 four =
                neighbours(result<kKind>(sums, j, h), result<kKind>(sums, j + 1, h));
            if (is_there) store_four(to + j * 8, four, left - j * 8, out.is_aligned);
        }
    }
}

// One of the two warpgroups that multiply.
template <Kind kKind>
__device__ void run_products(const Memory& memory,
                             const Rows& x,
                             const RoutingView& routing,
                             const Output& out,
                             int group,
                             Schedule<kKind> schedule) {
    const int warp = static_cast<int>(threadIdx.x) / 32 % 4;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int scale_row = warp * 16 + static_cast<int>(packed_row(lane / 4));
    if (group == 1) pass_barrier(kTurn, kWarpgroups * 128);
    Tile tile;
    int i = 0;
    while (schedule.next(tile)) {
        float sums[2][64] = {};
        WeightScales<kKind> all_scales(tile, group, x.num_units);
        for (int unit = 0; unit < x.num_units; ++unit, ++i) {
            const int s = i % kStages;
            float weight_scales[2];
            all_scales.get(unit, weight_scales);
            barrier_wait(memory.full + static_cast<std::uint32_t>(s * 8),
                         static_cast<std::uint32_t>(i / kStages) & 1);
            const std::uint64_t b = strips_descriptor(
                memory.weights(s) + static_cast<std::uint32_t>(group * 2 * kWeightTileBytes));
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const std::uint64_t a = strips_descriptor(
                    memory.rows(s) + static_cast<std::uint32_t>(half * 8 * kStripBytes));
                const float* const scales = memory.scales + s * kTileRows + half * 64 + scale_row;
                const float row_scales[2] = {scales[0], scales[8]};
                float products[64];
                // In turn: one's scaling runs under the other's products.
                named_barrier(kTurn + group, kWarpgroups * 128);
                keep_in_place(products);
                wgmma_fence();
                // 32 bytes of K further, in units of 16.
                wgmma_fp8<false>(products, a, b);
                wgmma_fp8<true>(products, a + 2, b + 2);
                wgmma_fp8<true>(products, a + 4, b + 4);
                wgmma_commit();
                wgmma_fp8<true>(products, a + 6, b + 6);
                wgmma_commit();
                wgmma_wait<1>();
                pass_barrier(kTurn + (group ^ 1), kWarpgroups * 128);
                wgmma_wait<0>();
                keep_in_place(products);
                // Each warp by itself: others may still read.
                if (half == 1 && lane == 0)
                    barrier_arrive(memory.empty + static_cast<std::uint32_t>(s * 8));
                scale_and_add<kKind>(products, row_scales, weight_scales, sums[half]);
            }
        }
#pragma unroll
        for (int half = 0; half < 2; ++half)
            store<kKind>(tile, routing, out, group, half, sums[half]);
    }
    if (group == 0) named_barrier(kTurn, kWarpgroups * 128);
}

template <Kind kKind>
__global__ void __launch_bounds__(kThreads, 1)
    gemm_kernel(const __grid_constant__ CUtensorMap codes,
                const __grid_constant__ Rows x,
                const __grid_constant__ WeightView dense,
                const ExpertView* experts,
                const __grid_constant__ RoutingView routing,
                const __grid_constant__ Output out) {
    extern __shared__ unsigned char shared[];
    let_next_begin();
    const Memory memory(shared);
    if (threadIdx.x == 0) {
        for (int s = 0; s < kStages; ++s) {
            barrier_init(memory.full + static_cast<std::uint32_t>(s * 8), 1);
            barrier_init(memory.empty + static_cast<std::uint32_t>(s * 8), kWarpgroups * 4);
        }
        fence_barriers();
    }
    wait_for_inputs();
    if constexpr (kKind != Kind::kDense) find_starts<kKind>(routing, dense.rows, memory.starts);
    __syncthreads();
    const Schedule<kKind> schedule(experts, routing, dense, x, memory.starts);
    const int group = static_cast<int>(threadIdx.x) / 128 - 1;
    if (group < 0) {
        give_registers<40>();
        if (threadIdx.x < 32) run_copies<kKind>(memory, x, codes, schedule);
    } else {
        take_registers<232>();
        run_products<kKind>(memory, x, routing, out, group, schedule);
    }
}

Rows rows_of(const CodedRows& x) {
    CHECK(x.stride % kFp8Block == 0 && x.scale_stride % 8 == 0);
    return {x.scales, x.scale_stride, static_cast<int>((x.rows + 7) / 8),
            static_cast<int>(x.stride / kFp8Block), static_cast<int>(x.rows)};
}

Output output_of(MatrixView out) {
    CHECK(out.dtype == DType::kF32);
    auto* const data = static_cast<float*>(out.data);
    return {data, out.stride,
            reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && out.stride % 4 == 0};
}

// Of this process's GPU.
unsigned num_multiprocessors() {
    static const int found = [] {
        int device = 0;
        int count = 0;
        CUDA_CHECK(cudaGetDevice(&device));
        CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
        return count;
    }();
    return static_cast<unsigned>(found);
}

template <Kind kKind>
void run(const CodedRows& x,
         const WeightView& weight,
         const ExpertView* experts,
         const RoutingView& routing,
         MatrixView out,
         cudaStream_t stream) {
    CHECK(weight.dtype == DType::kF8E4M3 && x.cols == weight.cols && x.stride == weight.stride);
    CHECK(kKind == Kind::kDense || routing.num_experts <= kMaxExperts);
    if (x.rows == 0) return;
    const Rows rows = rows_of(x);
    const CUtensorMap codes = strips_map(x.codes, rows.num_units, rows.num_strips, kTileStrips);
    CUDA_CHECK(cudaFuncSetAttribute(gemm_kernel<kKind>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    kSharedBytes));
    launch(gemm_kernel<kKind>, {dim3(num_multiprocessors()), kThreads, kSharedBytes}, stream, codes,
           rows, weight, experts, routing, output_of(out));
}

}  // namespace

void gemm(const CodedRows& x, const WeightView& weight, MatrixView out, cudaStream_t stream) {
    CHECK(out.rows == x.rows && out.cols == weight.rows);
    run<Kind::kDense>(x, weight, nullptr, {}, out, stream);
}

void coded_linear(const CodedRows& x,
                  const WeightView& weight,
                  MatrixView out,
                  bool is_deterministic,
                  cudaStream_t stream) {
    if (!is_deterministic &&
        prefers_gemm(x.rows, weight.rows, weight.num_k_blocks(), num_multiprocessors()))
        return gemm(x, weight, out, stream);
    stream_linear(x, weight, out, stream);
}

void gemm_gate_up(const CodedRows& x,
                  const RoutingView& routing,
                  const ExpertView* experts,
                  const ExpertView& shape,
                  MatrixView out,
                  cudaStream_t stream) {
    CHECK(x.rows == routing.max_positions());
    CHECK(out.rows == routing.max_positions() && out.cols == shape.gate.rows);
    CHECK(shape.gate.rows == shape.up.rows && shape.gate.cols == shape.up.cols);
    run<Kind::kGateUp>(x, shape.gate, experts, routing, out, stream);
}

void gemm_down(const CodedRows& x,
               const RoutingView& routing,
               const ExpertView* experts,
               const ExpertView& shape,
               MatrixView out,
               cudaStream_t stream) {
    CHECK(x.rows == routing.max_positions());
    CHECK(out.rows == routing.num_slots() && out.cols == shape.down.rows);
    run<Kind::kDown>(x, shape.down, experts, routing, out, stream);
}

}  // namespace turnpike::kernels::cuda
