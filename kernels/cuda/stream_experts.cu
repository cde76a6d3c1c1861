// See stream_experts.h.
#include <type_traits>

#include "config/base/check.h"
#include "kernels/cuda/device/weight_ring.cuh"
#include "kernels/cuda/stream_experts.h"

namespace turnpike::kernels::cuda {
namespace {

enum class Kind { kGateUp, kDown };

// Three: of one row's nine experts, the shared one among them, all blocks run at once so.
template <int NT>
using ExpertRing = Ring<DType::kF8E4M3, NT, NT == 1 ? 3 : 2>;

// gridDim.y: at least the experts that have slots. Passes of NT * 8 positions. It begins when the
// kernel ahead of it has its inputs, so what came before that, the routing among it, is there, and
// the weights are asked for before the rows are.
template <Kind kKind, int NT>
__global__ void __launch_bounds__(kStreamThreads, ExpertRing<NT>::kBlocks)
    experts_kernel(const ExpertView* experts,
                   RoutingView routing,
                   StreamedRows x,
                   int num_units,
                   float* out,
                   std::int64_t out_stride) {
    extern __shared__ __align__(128) unsigned char shared[];
    let_next_begin();
    // The last first: the shared expert, which has the most rows, is the last.
    const int expert = __ldcg(routing.active + gridDim.y - 1 - blockIdx.y);
    if (expert < 0) return wait_for_inputs();
    const Stages<ExpertRing<NT>> stages(shared);
    const ExpertView& view = experts[expert];
    const int tile = static_cast<int>(blockIdx.x);
    const int first = __ldcg(routing.positions + expert);
    const int last =
        first + __ldcg(routing.offsets + expert + 1) - __ldcg(routing.offsets + expert);
    Work work;
    if constexpr (kKind == Kind::kGateUp)
        work.pair = {{view.gate, view.up}, {tile, tile}};
    else
        work.pair = {{view.down, view.down}, {2 * tile, 2 * tile + 1}};
    work.num_units = num_units;
    work.begin = 0;
    work.end = num_units;
    work.first_tile = first / 8;
    work.num_tiles = (last - first + 7) / 8;
    if (threadIdx.x == kStreamWarps * 32) stages.begin(work);
    load_weight_scales(stages, work);
    __syncthreads();
    const auto pass = [&](auto is_first, int position, int base) {
        work.first_tile = position / 8;
        work.num_tiles = (last - position + 7) / 8;
        run_pass<decltype(is_first)::value>(
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
    };
    pass(std::true_type(), first, 0);
    int base = num_units;
    for (int position = first + NT * 8; position < last; position += NT * 8, base += num_units)
        pass(std::false_type(), position, base);
}

// These two let the next kernel begin when they have their inputs themselves: see experts_kernel.
__global__ void gather_codes_kernel(CodedRows x, RoutingView routing, CodedRows coded) {
    wait_for_inputs();
    let_next_begin();
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
    wait_for_inputs();
    let_next_begin();
    const int p = static_cast<int>(blockIdx.x);
    if (routing.slots[p] < 0) return;
    const float* row = x + p * x_stride;
    quantise_row(p, coded.cols, coded, [=](std::int64_t c) { return row[c]; });
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
                        {grid, kStreamThreads, ExpertRing<kTiles>::kBytes}, 1, stream, table,
                        routing, streamed(x), num_units, static_cast<float*>(out.data), out.stride);
    };
    // By the slots of an average expert.
    const std::int64_t average = routing.num_slots() / routing.num_experts;
    if (average <= 5) return run(std::integral_constant<int, 1>());
    if (average <= 8) return run(std::integral_constant<int, 2>());
    run(std::integral_constant<int, 8>());
}

}  // namespace

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
