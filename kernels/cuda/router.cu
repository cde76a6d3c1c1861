// See router.h.
#include "config/base/check.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/router.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kRowsPerBlock = 4;  // a warp a row
constexpr int kPerLane = static_cast<int>(kMaxExperts) / 32;
constexpr int kSortThreads = 1024;
constexpr int kFewSlots = 1536;
constexpr int kCombinedColumns = 256;  // of a block

__device__ float excluded() {
    return __int_as_float(0xFF800000);  // -infinity
}

struct Best {
    float value;
    int index;
};

// The largest value, the lowest index on ties, in every lane.
__device__ Best warp_best(Best best) {
    // Larger values have larger bits; zeros are alike.
    const auto bits = static_cast<std::uint32_t>(__float_as_int(best.value + 0.0F));
    const std::uint32_t ordered = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
    const std::uint32_t top = __reduce_max_sync(0xFFFFFFFFU, ordered);
    const int index =
        __reduce_min_sync(0xFFFFFFFFU, ordered == top ? best.index : static_cast<int>(kMaxExperts));
    const std::uint32_t value = (top & 0x80000000U) != 0 ? top & 0x7FFFFFFFU : ~top;
    return {__int_as_float(static_cast<int>(value)), index};
}

// The sum of the two best of values[first .. first + size), in every lane.
__device__ float two_best(const float* values, int first, int size) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    Best best{excluded(), size};
    for (int e = lane; e < size; e += 32) {
        if (values[first + e] > best.value) best = {values[first + e], e};
    }
    best = warp_best(best);
    Best second{excluded(), size};
    for (int e = lane; e < size; e += 32) {
        if (e != best.index && values[first + e] > second.value) second = {values[first + e], e};
    }
    return best.value + warp_best(second).value;
}

// Excludes every group but the num_kept_groups with the largest sums of two.
__device__ void exclude_groups(float* biased, const RouterShape& shape) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int size = static_cast<int>(shape.num_experts / shape.num_groups);
    Best group{excluded(), lane};  // lane g holds group g
    for (int g = 0; g < shape.num_groups; ++g) {
        const float sum = two_best(biased, g * size, size);
        if (lane == g) group.value = sum;
    }
    std::uint32_t kept = 0;
    for (int i = 0; i < shape.num_kept_groups; ++i) {
        const Best best = warp_best(group);
        kept |= 1U << best.index;
        if (lane == best.index) group.value = excluded();
    }
    for (int e = lane; e < shape.num_experts; e += 32) {
        if ((kept >> (e / size) & 1U) == 0) biased[e] = excluded();
    }
    __syncwarp();
}

__global__ void route_kernel(const float* logits,
                             std::int64_t stride,
                             const float* bias,
                             RouterShape shape,
                             RoutingView out) {
    let_next_begin();
    wait_for_inputs();
    __shared__ float shared_scores[kRowsPerBlock][kMaxExperts];
    __shared__ float shared_biased[kRowsPerBlock][kMaxExperts];
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowsPerBlock + warp;
    if (row >= out.rows) return;
    float* scores = shared_scores[warp];
    float* biased = shared_biased[warp];
    for (int e = lane; e < shape.num_experts; e += 32) {
        scores[e] = 1.0F / (1.0F + expf(-logits[row * stride + e]));
        biased[e] = scores[e] + bias[e];
    }
    __syncwarp();
    exclude_groups(biased, shape);
    std::uint32_t chosen = 0;  // bit i of lane e % 32: expert e = i * 32 + lane is chosen
    for (int i = 0; i < shape.num_chosen; ++i) {
        Best best{excluded(), static_cast<int>(shape.num_experts)};
        for (int e = lane; e < shape.num_experts; e += 32) {
            if (biased[e] > best.value) best = {biased[e], e};
        }
        best = warp_best(best);
        if (best.index % 32 == lane && best.index < shape.num_experts) {
            biased[best.index] = excluded();
            chosen |= 1U << (best.index / 32);
        }
        __syncwarp();
    }
    // Ascending, by all lanes alike.
    float sum = 0.0F;
    int count = 0;
    int mine = -1;
    for (int word = 0; word < kPerLane; ++word) {
        std::uint32_t lanes = __ballot_sync(0xFFFFFFFFU, chosen >> word & 1U);
        for (; lanes != 0; lanes &= lanes - 1) {
            const int expert = word * 32 + __ffs(static_cast<int>(lanes)) - 1;
            sum += scores[expert];
            if (count == lane) mine = expert;
            ++count;
        }
    }
    // 1e-20: as the published inference code guards the division.
    const float divisor = shape.is_normalised ? sum + 1e-20F : 1.0F;
    if (lane < out.num_chosen) {
        const bool is_shared = lane == shape.num_chosen;
        const std::int64_t slot = row * out.num_chosen + lane;
        out.experts[slot] = is_shared ? static_cast<int>(shape.num_experts) : mine;
        out.weights[slot] = is_shared ? 1.0F : scores[mine] / divisor * shape.scale;
    }
}

// The sum over the block's threads before this one, and of all. shared: one int a warp.
__device__ int sum_before(int value, int* shared, int& all) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    int inclusive = value;
    for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(0xFFFFFFFFU, inclusive, step);
        if (lane >= step) inclusive += other;
    }
    __syncthreads();
    if (lane == 31) shared[warp] = inclusive;
    __syncthreads();
    int before = 0;
    all = 0;
    for (int w = 0; w < kSortThreads / 32; ++w) {
        if (w < warp) before += shared[w];
        all += shared[w];
    }
    return before + inclusive - value;
}

// A counting sort in one block: each expert's slots in ascending order. Of few slots, each counts
// those of its expert before it; of many, a warp an expert looks through all.
__global__ void __launch_bounds__(kSortThreads) sort_kernel(RoutingView routing) {
    __shared__ int starts[kMaxExperts];
    __shared__ int places[kMaxExperts];
    __shared__ int counts[kMaxExperts];
    __shared__ int chosen[kFewSlots];
    __shared__ int sums[kSortThreads / 32];
    let_next_begin();
    wait_for_inputs();
    const int num_slots = static_cast<int>(routing.num_slots());
    const int num_experts = static_cast<int>(routing.num_experts);
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < num_experts) counts[thread] = 0;
    for (int s = thread; s < num_slots && s < kFewSlots; s += kSortThreads)
        chosen[s] = routing.experts[s];
    __syncthreads();
    for (int s = thread; s < num_slots; s += kSortThreads)
        atomicAdd(&counts[routing.experts[s]], 1);
    __syncthreads();
    const int count = thread < num_experts ? counts[thread] : 0;
    int all = 0;
    const int start = sum_before(count, sums, all);
    int num_active = 0;
    const int rank = sum_before(count > 0 ? 1 : 0, sums, num_active);
    int num_positions = 0;
    const int place = sum_before((count + 7) / 8 * 8, sums, num_positions);
    for (int p = thread; p < static_cast<int>(routing.max_positions()); p += kSortThreads)
        routing.slots[p] = -1;
    if (thread < num_experts) {
        starts[thread] = start;
        places[thread] = place;
        routing.positions[thread] = place;
        routing.offsets[thread] = start;
        if (count > 0) routing.active[rank] = thread;
        if (thread >= num_active) routing.active[thread] = -1;
    }
    if (thread == 0) routing.offsets[num_experts] = all;
    __syncthreads();
    if (num_slots <= kFewSlots) {
        for (int s = thread; s < num_slots; s += kSortThreads) {
            const int mine = chosen[s];
            int before = 0;
            for (int other = 0; other < s; ++other) before += chosen[other] == mine ? 1 : 0;
            routing.order[starts[mine] + before] = s;
            routing.slots[places[mine] + before] = s;
        }
        return;
    }
    const int lane = thread % 32;
    for (int e = thread / 32; e < num_experts; e += kSortThreads / 32) {
        int at = starts[e];
        const int end = at + counts[e];
        for (int first = 0; first < num_slots && at < end; first += 32) {
            const int s = first + lane;
            const bool is_mine = s < num_slots && routing.experts[s] == e;
            const std::uint32_t lanes = __ballot_sync(0xFFFFFFFFU, is_mine);
            if (is_mine) {
                const int rank_in_expert = at + __popc(lanes & ((1U << lane) - 1));
                routing.order[rank_in_expert] = s;
                routing.slots[places[e] + rank_in_expert - starts[e]] = s;
            }
            at += __popc(lanes);
        }
    }
}

__global__ void combine_kernel(const float* expert_out,
                               std::int64_t expert_stride,
                               RoutingView routing,
                               const float* shared,
                               std::int64_t shared_stride,
                               float* accumulator,
                               std::int64_t stride,
                               std::int64_t cols) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float* weights = routing.weights + m * routing.num_chosen;
    const float* rows = expert_out + m * routing.num_chosen * expert_stride;
    const std::int64_t c = static_cast<std::int64_t>(blockIdx.y) * kCombinedColumns + threadIdx.x;
    if (c < cols) {
        float sum = 0.0F;
#pragma unroll 9
        for (std::int64_t i = 0; i < routing.num_chosen; ++i)
            sum += weights[i] * rows[i * expert_stride + c];
        if (shared != nullptr) sum += shared[m * shared_stride + c];
        accumulator[m * stride + c] += sum;
    }
}

}  // namespace

bool can_route(const RouterShape& shape) {
    return shape.num_experts <= kMaxExperts && shape.num_chosen <= kMaxChosen &&
           shape.num_groups <= kMaxGroups;
}

void route(MatrixView logits,
           const float* bias,
           const RouterShape& shape,
           const RoutingView& out,
           cudaStream_t stream) {
    CHECK(can_route(shape));
    CHECK(logits.cols == shape.num_experts && shape.num_experts % shape.num_groups == 0);
    CHECK(shape.num_experts / shape.num_groups >= 2 && shape.num_kept_groups <= shape.num_groups);
    CHECK(shape.num_chosen <= shape.num_kept_groups * (shape.num_experts / shape.num_groups));
    const std::int64_t num_shared = out.num_chosen - shape.num_chosen;
    CHECK(num_shared == 0 || num_shared == 1);
    CHECK(out.rows == logits.rows && out.num_experts == shape.num_experts + num_shared);
    CHECK(out.num_experts <= kMaxExperts && out.num_chosen <= kMaxChosen);
    if (out.rows == 0) return;
    const auto blocks = static_cast<unsigned>((out.rows + kRowsPerBlock - 1) / kRowsPerBlock);
    launch(route_kernel, {dim3(blocks), kRowsPerBlock * 32, 0}, stream,
           static_cast<const float*>(logits.data), logits.stride, bias, shape, out);
    launch(sort_kernel, {dim3(1), kSortThreads, 0}, stream, out);
}

void combine_experts(MatrixView expert_out,
                     const RoutingView& routing,
                     MatrixView shared,
                     MatrixView accumulator,
                     cudaStream_t stream) {
    CHECK(expert_out.rows == routing.rows * routing.num_chosen);
    CHECK(accumulator.rows == routing.rows && expert_out.cols == accumulator.cols);
    if (shared.data != nullptr)
        CHECK(shared.rows == routing.rows && shared.cols == accumulator.cols);
    if (routing.rows == 0) return;
    const dim3 grid(
        static_cast<unsigned>(routing.rows),
        static_cast<unsigned>((accumulator.cols + kCombinedColumns - 1) / kCombinedColumns));
    launch(combine_kernel, {grid, kCombinedColumns, 0}, stream,
           static_cast<const float*>(expert_out.data), expert_out.stride, routing,
           static_cast<const float*>(shared.data), shared.stride,
           static_cast<float*>(accumulator.data), accumulator.stride, accumulator.cols);
}

void combine_experts(MatrixView expert_out,
                     const RoutingView& routing,
                     MatrixView accumulator,
                     cudaStream_t stream) {
    combine_experts(expert_out, routing, MatrixView{}, accumulator, stream);
}

}  // namespace turnpike::kernels::cuda
