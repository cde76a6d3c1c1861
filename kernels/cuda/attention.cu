// See attention.h. The kernel for shapes of any size: a block a row, head and split.
#include <algorithm>

#include "config/base/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/device/partials.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/head_product.cuh"
#include "kernels/cuda/latent_attend.cuh"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr std::int64_t kMostCombined = 512;  // columns at a time, a thread each

__global__ void rope_kernel(float* x, std::int64_t stride, RopeView view) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float* cosines = view.cosines + m * view.num_pairs;
    const float* sines = view.sines + m * view.num_pairs;
    const std::int64_t i = static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
    if (i < view.num_heads * view.num_pairs) {
        const std::int64_t j = i % view.num_pairs;
        float* head = x + m * stride + i / view.num_pairs * view.head_stride + view.offset;
        float* first = view.is_interleaved ? head + 2 * j : head + j;
        float* second = view.is_interleaved ? first + 1 : first + view.num_pairs;
        const float a = *first;
        const float b = *second;
        *first = a * cosines[j] - b * sines[j];
        *second = a * sines[j] + b * cosines[j];
    }
}

// The block of a position.
__device__ __nv_bfloat16* cache_block(const CacheView& cache,
                                      std::int32_t table,
                                      std::int64_t position) {
    const std::int64_t block = cache.tables[table + position / kCacheBlockTokens];
    return static_cast<__nv_bfloat16*>(cache.data) + block * kCacheBlockTokens * cache.row_dim;
}

__global__ void write_kv_kernel(const float* x,
                                std::int64_t stride,
                                const AttentionRow* rows,
                                CacheView cache) {
    let_next_begin();
    wait_for_inputs();
    const AttentionRow row = rows[blockIdx.x];
    __nv_bfloat16* const to = cache_block(cache, row.table, row.position);
    const std::int64_t token = row.position % kCacheBlockTokens;
    for (std::int64_t c = threadIdx.x; c < cache.row_dim; c += blockDim.x)
        to[cache.offset(token, c)] = __float2bfloat16_rn(x[row.row * stride + c]);
}

// The rotated part of each head's query, behind its latent part.
__global__ void copy_rotated_kernel(const float* queries,
                                    std::int64_t stride,
                                    MlaShape shape,
                                    float* out,
                                    std::int64_t out_stride) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.y;
    const std::int64_t width = shape.latent_dim + shape.rope_dim;
    const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < shape.num_heads * shape.rope_dim) {
        const std::int64_t head = i / shape.rope_dim;
        const std::int64_t c = i % shape.rope_dim;
        out[m * out_stride + head * width + shape.latent_dim + c] =
            queries[m * stride + head * (shape.nope_dim + shape.rope_dim) + shape.nope_dim + c];
    }
}

// gridDim: (num_heads, num_rows, num_splits). shared: the query, the scores of a block, the sums.
__global__ void __launch_bounds__(kThreads) attend_kernel(const float* queries,
                                                          std::int64_t stride,
                                                          const AttentionRow* rows,
                                                          HeadLayout layout,
                                                          CacheView cache,
                                                          std::int64_t tokens_per_split,
                                                          Partials partials) {
    let_next_begin();
    wait_for_inputs();
    extern __shared__ float shared[];
    float* query = shared;
    float* scores = query + layout.key_dim;
    float* sums = scores + kCacheBlockTokens;
    const AttentionRow row = rows[blockIdx.y];
    const std::int64_t head = blockIdx.x;
    const std::int64_t shared_head = head / layout.heads_per_key;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const std::int64_t begin = blockIdx.z * tokens_per_split;
    const std::int64_t end =
        min(begin + tokens_per_split, static_cast<std::int64_t>(row.position) + 1);
    float* out = partials.at(blockIdx.y, head, blockIdx.z);
    if (begin >= end) {
        if (threadIdx.x == 0) out[layout.value_dim + 1] = 0.0F;
        return;
    }
    for (std::int64_t c = threadIdx.x; c < layout.key_dim; c += kThreads)
        query[c] = queries[row.row * stride + head * layout.key_dim + c] * layout.softmax_scale;
    for (std::int64_t c = threadIdx.x; c < layout.value_dim; c += kThreads) sums[c] = 0.0F;
    __syncthreads();
    float max = __int_as_float(0xFF800000);
    float total = 0.0F;
    for (std::int64_t start = begin; start < end; start += kCacheBlockTokens) {
        const __nv_bfloat16* const block = cache_block(cache, row.table, start);
        const int count =
            static_cast<int>(min(static_cast<std::int64_t>(kCacheBlockTokens), end - start));
        for (int t = warp; t < count; t += kWarps) {
            const std::int64_t key = shared_head * layout.key_stride;
            float score = 0.0F;
            for (std::int64_t c = lane; c < layout.key_dim; c += 32)
                score += query[c] * __bfloat162float(block[cache.offset(t, key + c)]);
            score = warp_sum(score);
            if (lane == 0) scores[t] = score;
        }
        __syncthreads();
        float largest = max;
        for (int t = 0; t < count; ++t) largest = fmaxf(largest, scores[t]);
        const float shrink = expf(max - largest);  // 0 for the first block
        max = largest;
        float odds = 0.0F;
        for (int t = 0; t < count; ++t) odds += expf(scores[t] - max);
        total = total * shrink + odds;
        const std::int64_t value = layout.value_offset + shared_head * layout.value_stride;
        for (std::int64_t c = threadIdx.x; c < layout.value_dim; c += kThreads) {
            float sum = 0.0F;
            for (int t = 0; t < count; ++t)
                sum += expf(scores[t] - max) * __bfloat162float(block[cache.offset(t, value + c)]);
            sums[c] = sums[c] * shrink + sum;
        }
        __syncthreads();
    }
    for (std::int64_t c = threadIdx.x; c < layout.value_dim; c += kThreads) out[c] = sums[c];
    if (threadIdx.x == 0) {
        out[layout.value_dim] = max;
        out[layout.value_dim + 1] = total;
    }
}

// gridDim: (num_heads, num_rows). Splits in ascending order. shared: a weight a split.
__global__ void combine_kernel(Partials partials,
                               const AttentionRow* rows,
                               float* out,
                               std::int64_t stride) {
    extern __shared__ float weights[];
    let_next_begin();
    wait_for_inputs();
    const std::int64_t dim = partials.value_dim;
    const int num_splits = static_cast<int>(partials.num_splits);
    const float* const parts = partials.at(blockIdx.y, blockIdx.x, 0);
    const auto part = [&](int split) { return parts + split * (dim + 2); };
    if (threadIdx.x < 32) {
        const int lane = static_cast<int>(threadIdx.x);
        float max = __int_as_float(0xFF800000);
        for (int s = lane; s < num_splits; s += 32) {
            if (part(s)[dim + 1] > 0.0F) max = fmaxf(max, part(s)[dim]);
        }
        max = warp_max(max);
        float total = 0.0F;
        for (int s = lane; s < num_splits; s += 32) {
            weights[s] = part(s)[dim + 1] > 0.0F ? expf(part(s)[dim] - max) : 0.0F;
            total += part(s)[dim + 1] * weights[s];
        }
        total = warp_sum(total);
        for (int s = lane; s < num_splits; s += 32) weights[s] /= total;
    }
    __syncthreads();
    for (std::int64_t c = threadIdx.x; c < dim; c += blockDim.x) {
        float sum = 0.0F;
#pragma unroll 16
        for (int s = 0; s < num_splits; ++s) {
            // A split without keys left its sums unwritten.
            if (weights[s] > 0.0F) sum += part(s)[c] * weights[s];
        }
        out[rows[blockIdx.y].row * stride + blockIdx.x * dim + c] = sum;
    }
}

void attend_any(const AttentionCall& call, const Partials& partials, cudaStream_t stream) {
    const HeadLayout& layout = call.layout;
    const dim3 grid(static_cast<unsigned>(layout.num_heads), static_cast<unsigned>(call.num_rows),
                    static_cast<unsigned>(call.plan.num_splits));
    const auto shared =
        static_cast<std::size_t>(layout.key_dim + kCacheBlockTokens + layout.value_dim) *
        sizeof(float);
    launch(attend_kernel, {grid, kThreads, shared}, stream,
           static_cast<const float*>(call.queries.data), call.queries.stride, call.rows, layout,
           call.cache, call.plan.tokens_per_split, partials);
}

}  // namespace

void rope(MatrixView x, const RopeView& view, cudaStream_t stream) {
    CHECK((view.num_heads - 1) * view.head_stride + view.offset + 2 * view.num_pairs <= x.cols);
    if (x.rows == 0) return;
    constexpr unsigned kPairs = 256;  // of a block
    const auto pairs = static_cast<unsigned>(view.num_heads * view.num_pairs);
    launch(rope_kernel,
           {dim3(static_cast<unsigned>(x.rows), (pairs + kPairs - 1) / kPairs), kPairs, 0}, stream,
           static_cast<float*>(x.data), x.stride, view);
}

void write_kv(MatrixView x,
              const AttentionRow* rows,
              std::int64_t num_rows,
              const CacheView& cache,
              cudaStream_t stream) {
    CHECK(x.cols == cache.row_dim);
    if (num_rows == 0) return;
    launch(write_kv_kernel, {dim3(static_cast<unsigned>(num_rows)), kThreads, 0}, stream,
           static_cast<const float*>(x.data), x.stride, rows, cache);
}

void absorb_queries(MatrixView queries,
                    const KvUpView& kv_up,
                    const MlaShape& shape,
                    MatrixView out,
                    cudaStream_t stream) {
    CHECK(queries.cols == shape.num_heads * shape.query_dim());
    CHECK(out.rows == queries.rows && out.cols == shape.num_heads * shape.cache_dim());
    if (out.rows == 0) return;
    head_product({kv_up.keys, padded_head_rows(shape.latent_dim), shape.latent_dim,
                  shape.query_dim(), shape.cache_dim()},
                 queries, out, stream);
    const std::int64_t num_rotated = shape.num_heads * shape.rope_dim;
    const dim3 rotated(static_cast<unsigned>((num_rotated + 255) / 256),
                       static_cast<unsigned>(out.rows));
    launch(copy_rotated_kernel, {rotated, 256, 0}, stream, static_cast<const float*>(queries.data),
           queries.stride, shape, static_cast<float*>(out.data), out.stride);
}

void project_values(MatrixView attended,
                    const KvUpView& kv_up,
                    const MlaShape& shape,
                    MatrixView out,
                    cudaStream_t stream) {
    CHECK(attended.cols == shape.num_heads * shape.latent_dim);
    CHECK(out.rows == attended.rows && out.cols == shape.num_heads * shape.v_dim);
    if (out.rows == 0) return;
    head_product(
        {kv_up.values, padded_head_rows(shape.v_dim), shape.v_dim, shape.latent_dim, shape.v_dim},
        attended, out, stream);
}

HeadLayout layout_of(const MlaShape& shape) {
    HeadLayout layout;
    layout.num_heads = shape.num_heads;
    layout.heads_per_key = shape.num_heads;
    layout.key_dim = shape.cache_dim();
    layout.value_dim = shape.latent_dim;
    layout.softmax_scale = shape.softmax_scale;
    return layout;
}

HeadLayout layout_of(const GqaShape& shape) {
    HeadLayout layout;
    layout.num_heads = shape.num_heads;
    layout.heads_per_key = shape.num_heads / shape.num_kv_heads;
    layout.key_dim = shape.head_dim;
    layout.key_stride = shape.head_dim;
    layout.value_dim = shape.head_dim;
    layout.value_offset = shape.kv_width();
    layout.value_stride = shape.head_dim;
    layout.softmax_scale = shape.softmax_scale;
    return layout;
}

AttentionPlan plan_attention(const HeadLayout& layout,
                             std::int64_t num_rows,
                             std::int64_t max_tokens,
                             int num_multiprocessors,
                             bool is_deterministic) {
    AttentionPlan plan;
    const auto splits_of = [&](std::int64_t tokens) { return (max_tokens + tokens - 1) / tokens; };
    if (!is_deterministic) {
        // The shortest splits that are no more blocks than run at once: partial sums cost traffic.
        const bool is_latent = is_latent_layout(layout);
        const std::int64_t heads = is_latent ? latent_heads_per_block(layout) : 1;
        const std::int64_t at_once = num_multiprocessors * (heads == 64 ? 1 : heads == 1 ? 8 : 2);
        const std::int64_t blocks_per_split = num_rows * ((layout.num_heads + heads - 1) / heads);
        plan.tokens_per_split = 2 * kCacheBlockTokens;
        // Blocks of 64 heads take two tiles at a time, and must earn their start where all run.
        if (heads == 64 && 2 * splits_of(plan.tokens_per_split) * blocks_per_split > at_once)
            plan.tokens_per_split *= 2;
        while (plan.tokens_per_split < max_tokens &&
               splits_of(plan.tokens_per_split) * blocks_per_split > at_once)
            plan.tokens_per_split += kCacheBlockTokens;
    }
    plan.num_splits = std::max<std::int64_t>(splits_of(plan.tokens_per_split), 1);
    return plan;
}

std::size_t attention_workspace_bytes(const HeadLayout& layout,
                                      std::int64_t num_rows,
                                      const AttentionPlan& plan) {
    return static_cast<std::size_t>(num_rows * layout.num_heads * plan.num_splits *
                                    (layout.value_dim + 2)) *
           sizeof(float);
}

void attend(const AttentionCall& call, void* workspace, MatrixView out, cudaStream_t stream) {
    const HeadLayout& layout = call.layout;
    CHECK(call.queries.cols == layout.num_heads * layout.key_dim);
    CHECK(out.cols == layout.num_heads * layout.value_dim);
    CHECK(call.plan.tokens_per_split % kCacheBlockTokens == 0);
    if (call.num_rows == 0) return;
    const Partials partials{static_cast<float*>(workspace), layout.num_heads, call.plan.num_splits,
                            layout.value_dim};
    if (is_latent_layout(layout)) {
        if (!attend_latent(call, partials, out, stream)) return;
    } else {
        attend_any(call, partials, stream);
    }
    const dim3 heads(static_cast<unsigned>(layout.num_heads), static_cast<unsigned>(call.num_rows));
    const auto shared = static_cast<std::size_t>(call.plan.num_splits) * sizeof(float);
    const auto threads = static_cast<unsigned>(
        std::clamp<std::int64_t>((layout.value_dim + 31) / 32 * 32, 32, kMostCombined));
    launch(combine_kernel, {heads, threads, shared}, stream, partials, call.rows,
           static_cast<float*>(out.data), out.stride);
}

}  // namespace turnpike::kernels::cuda
