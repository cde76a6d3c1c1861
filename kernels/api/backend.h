// Backend: the ops of a transformer step on one device. kernels/cpu/reference defines what each
// computes.
//
// Every op gives a row the same bits whatever other rows the call holds. Matrices are views of this
// backend's memory; spans and Routing are host memory. Wrong shapes are bugs and fail a CHECK.
// Methods are called by one thread at a time; a device may run them later, in order, until
// download, route or sample. Until then, or until the backend is gone, what they were given stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "config/base/result.h"
#include "kernels/api/attention.h"
#include "kernels/api/moe.h"
#include "kernels/api/rope.h"
#include "kernels/api/sampler.h"
#include "kernels/api/tensor.h"

namespace turnpike::kernels {

enum class Numerics {
    kW8A16,      // FP8 weights dequantised, activations as they are (f32 in the reference)
    kW8A8Block,  // activations quantised per row and 128 channels
};

struct BackendOptions {
    Numerics numerics = Numerics::kW8A16;
    int num_threads = 1;  // results do not depend on it
    // A row's bits do not depend on the rows beside it. On CPUs it is always so; CUDA gives up its
    // kernels for many rows and fills fewer multiprocessors in attention.
    bool is_deterministic = false;
};

// What ops have read and computed since the backend was made, for benchmarks: weights once per op
// and not per row; two operations for a multiply-add, attention without what the causal mask hides.
struct OpCounts {
    std::int64_t weight_bytes = 0;
    std::int64_t flops = 0;
};

class Backend {
  public:
    virtual ~Backend() = default;
    virtual std::string_view name() const = 0;
    virtual DType activation_dtype() const = 0;

    // Zeros where they are not kept.
    virtual OpCounts counts() const { return {}; }

    // Memory and weights.
    virtual std::unique_ptr<Buffer> allocate(std::size_t num_bytes) = 0;
    // out: num_rows * num_cols values, whatever the dtype of the matrix. Waits for earlier ops.
    virtual void download(MatrixView matrix, std::span<float> out) = 0;
    // FP8 with scales, BF16, F16 or F32 in. Errors: kCorrupt for NaN codes or scales that are not
    // finite.
    virtual Result<std::unique_ptr<PreparedWeight>> prepare(const WeightSource& source) = 0;
    // kv_b_proj [num_heads * (nope_dim + v_dim), latent_dim]: per head the key rows, then the value
    // rows. Made ready for both forms of attention.
    virtual Result<std::unique_ptr<PreparedWeight>> prepare_kv_up(const WeightSource& source,
                                                                  const MlaShape& shape) = 0;
    virtual std::unique_ptr<KvCache> make_kv_cache(const KvCacheShape& shape) = 0;

    // out[i] = table[tokens[i]].
    virtual void embed(std::span<const std::int32_t> tokens,
                       const PreparedWeight& table,
                       MatrixView out) = 0;
    // out[i] = x[rows[i]].
    virtual void gather_rows(MatrixView x, std::span<const std::int64_t> rows, MatrixView out) = 0;
    // out = x * rsqrt(mean(x^2) + epsilon) * weight, over each row. x may be out.
    virtual void rms_norm(MatrixView x,
                          const PreparedWeight& weight,
                          float epsilon,
                          MatrixView out) = 0;

    // rms_norm() of each of num_heads runs of weight.cols() columns, in place. x is
    // [rows, num_heads * weight.cols()].
    virtual void rms_norm_heads(MatrixView x,
                                std::int64_t num_heads,
                                const PreparedWeight& weight,
                                float epsilon) {
        const std::int64_t width = weight.cols();
        for (std::int64_t head = 0; head < num_heads; ++head) {
            const MatrixView columns = x.col_range(head * width, width);
            rms_norm(columns, weight, epsilon, columns);
        }
    }

    // out[m, n] = sum over k of x[m, k] * w[n, k]. In w8a8_block numerics a linear whose weight is
    // stored as FP8 (here, split over K, in experts, and kv_b_proj of the naive form) takes x as
    // FP8 codes with one scale per row and 128 channels (fp8.h, activation_scale): the products of
    // each 128 channels are summed, times both scales, and those sums are added in ascending order.
    virtual void linear(MatrixView x, const PreparedWeight& weight, MatrixView out) = 0;

    // accumulator += x, then out = rms_norm() of it.
    virtual void add_norm(MatrixView x,
                          MatrixView accumulator,
                          const PreparedWeight& weight,
                          float epsilon,
                          MatrixView out) {
        add(x, accumulator);
        rms_norm(accumulator, weight, epsilon, out);
    }

    // What a product with one x gives.
    struct Product {
        const PreparedWeight* weight = nullptr;
        MatrixView out;
    };

    // linear() of each, in order; x is quantised once where it is.
    virtual void linears(MatrixView x, std::span<const Product> products) {
        for (const Product& product : products) linear(x, *product.weight, product.out);
    }

    // The same, summed per segment of segments.h, the segments added in ascending order.
    virtual void linear_split_k(MatrixView x, const PreparedWeight& weight, MatrixView out) = 0;
    // out = silu(gate) * up, silu(a) = a / (1 + exp(-a)). gate may be out.
    virtual void silu_mul(MatrixView gate, MatrixView up, MatrixView out) = 0;
    // accumulator += x.
    virtual void add(MatrixView x, MatrixView accumulator) = 0;

    // Which elements of a head's num_pairs * 2 rotated columns turn together.
    enum class RopePairs {
        kInterleaved,  // (x[2j], x[2j+1])
        kHalves,       // (x[j], x[j + num_pairs])
    };

    // Rotates the pairs of each row, in every head: x is [rows, n * head_stride], the rotated
    // columns of head h begin at h * head_stride + offset.
    struct RopeColumns {
        std::int64_t num_heads = 1;
        std::int64_t head_stride = 0;
        std::int64_t offset = 0;
        RopePairs pairs = RopePairs::kInterleaved;
    };

    virtual void rope(MatrixView x, const RopeColumns& columns, const RopeRows& rows) = 0;

    // Writes rows [rows, cache_dim] of each slice to its positions in the cache.
    virtual void write_kv(MatrixView rows,
                          std::span<const AttentionSlice> slices,
                          std::int64_t layer,
                          KvCache& cache) = 0;
    // Causal attention. queries: [rows, num_heads * (nope_dim + rope_dim)], rotated; out: [rows,
    // num_heads * v_dim]; only rows within a slice are touched. The naive form projects keys and
    // values up from the cache (prompt rows); the absorbed form moves the projections to the query
    // and the result (generated rows).
    virtual void attend_naive(MatrixView queries,
                              std::span<const AttentionSlice> slices,
                              const PreparedWeight& kv_up,
                              const MlaShape& shape,
                              std::int64_t layer,
                              const KvCache& cache,
                              MatrixView out) = 0;
    virtual void attend_absorbed(MatrixView queries,
                                 std::span<const AttentionSlice> slices,
                                 const PreparedWeight& kv_up,
                                 const MlaShape& shape,
                                 std::int64_t layer,
                                 const KvCache& cache,
                                 MatrixView out) = 0;

    // Causal grouped-query attention, of prompt rows and generated rows alike. queries and out:
    // [rows, query_width()], queries rotated; only rows within a slice are touched.
    virtual void attend_grouped(MatrixView queries,
                                std::span<const AttentionSlice> slices,
                                const GqaShape& shape,
                                std::int64_t layer,
                                const KvCache& cache,
                                MatrixView out) = 0;

    // score = sigmoid(logits [rows, num_experts]); bias [1, num_experts] counts for the selection
    // only. Experts outside the kept groups cannot be chosen; ties go to the lower group or expert.
    // Weights are the unbiased scores, normalised when asked, times scale.
    virtual Routing route(MatrixView logits,
                          const PreparedWeight& bias,
                          const RouterShape& shape) = 0;
    // out: [rows * num_chosen, hidden]: row r * num_chosen + i is expert routing.experts[r, i] of
    // x[r], unweighted and unsummed. The down projection is split over K.
    virtual void run_experts(MatrixView x,
                             const Routing& routing,
                             std::span<const MlpWeights> experts,
                             MatrixView out) = 0;
    // accumulator[r] += (sum over i, ascending, of weights[r, i] * expert_out[r * num_chosen + i])
    // + shared[r].
    virtual void combine_experts(MatrixView expert_out,
                                 const Routing& routing,
                                 MatrixView shared,
                                 MatrixView accumulator) = 0;

    // A whole layer of experts: what linear() with the router, route(), run_experts(), the shared
    // expert and combine_experts() do one after the other. False where the backend does not have it
    // as one; then nothing was done.
    virtual bool run_moe(const MoeBlock& block, MatrixView x, MatrixView accumulator) {
        (void)block, (void)x, (void)accumulator;
        return false;
    }

    // logits [rows, vocab]; one SampleParams per row. Columns from num_tokens on are padding: never
    // chosen, and no part of a logprob. At least one logit of each row must be finite.
    virtual void sample(MatrixView logits,
                        std::span<const SampleParams> params,
                        std::int64_t num_tokens,
                        std::span<SampledRow> out) = 0;
};

}  // namespace turnpike::kernels
