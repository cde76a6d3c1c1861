// See sampler.h. A block a row. What top-k, top-p and min-p keep is a prefix of the ranking by
// (logit, lower token first); its last member is found by bisection over that order.
#include "config/base/check.h"
#include "kernels/cuda/error.h"
#include "kernels/cuda/sampler.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kTokenBits = 20;

using Key = unsigned long long;

// Orders tokens by descending logit, the lower token first on ties: a larger key ranks earlier.
__device__ Key key_of(float logit, int token) {
    // Equal zeros rank alike.
    const std::uint32_t bits = __float_as_uint(logit == 0.0F ? 0.0F : logit);
    const std::uint32_t ordered = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
    return static_cast<Key>(ordered) << kTokenBits |
           static_cast<Key>((1 << kTokenBits) - 1 - token);
}

__device__ int token_of(Key key) {
    return (1 << kTokenBits) - 1 - static_cast<int>(key & ((1U << kTokenBits) - 1));
}

// combine over the block; the result in every thread. shared: one T a warp.
template <class T, class Combine>
__device__ T block_reduce(T value, T* shared, Combine combine) {
    for (int lane = 16; lane > 0; lane /= 2)
        value = combine(value, __shfl_xor_sync(0xFFFFFFFFU, value, lane));
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    T result = shared[0];
    for (int w = 1; w < kWarps; ++w) result = combine(result, shared[w]);
    return result;
}

struct Shared {
    Key keys[kWarps];
    double sums[kWarps];
};

__device__ Key max_key(Key key, Shared& shared) {
    return block_reduce(key, shared.keys, [](Key a, Key b) { return a > b ? a : b; });
}

__device__ double sum_of(double value, Shared& shared) {
    return block_reduce(value, shared.sums, [](double a, double b) { return a + b; });
}

// The largest key below `limit`; 0 when there is none.
__device__ Key best_below(const float* logits, int num_tokens, Key limit, Shared& shared) {
    Key best = 0;
    for (int t = static_cast<int>(threadIdx.x); t < num_tokens; t += kThreads) {
        const Key key = key_of(logits[t], t);
        if (key < limit && key > best) best = key;
    }
    return max_key(best, shared);
}

// kernels/api/sampler.h, edit_logits; each token is in a list once, so threads do not meet.
__device__ void edit(const SampleRow& row,
                     const SampleLists& lists,
                     float* logits,
                     int num_tokens) {
    for (int i = static_cast<int>(threadIdx.x); i < row.num_bias; i += kThreads) {
        const TokenBias entry = lists.bias[row.first_bias + i];
        if (entry.token >= 0 && entry.token < num_tokens)
            logits[entry.token] = __fadd_rn(logits[entry.token], entry.bias);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < row.num_seen; i += kThreads) {
        const SeenToken seen = lists.seen[row.first_seen + i];
        if (seen.token < 0 || seen.token >= num_tokens) continue;
        float logit = logits[seen.token];
        logit = logit > 0.0F ? __fdiv_rn(logit, row.repetition_penalty)
                             : __fmul_rn(logit, row.repetition_penalty);
        if (seen.num_generated != 0) {
            const float times = static_cast<float>(seen.num_generated);
            logit = __fsub_rn(logit, __fmul_rn(row.frequency_penalty, times));
            logit = __fsub_rn(logit, row.presence_penalty);
        }
        logits[seen.token] = logit;
    }
    __syncthreads();
    if (row.first_allowed >= 0) {
        const std::uint32_t* words = lists.allowed + row.first_allowed;
        for (int t = static_cast<int>(threadIdx.x); t < num_tokens; t += kThreads) {
            if ((words[t / 32] >> (t % 32) & 1U) == 0) logits[t] = __int_as_float(0xFF800000);
        }
    }
    __syncthreads();
}

// The smallest key for which `is_kept` holds, is_kept being false below and true above it, and true
// at `high`.
template <class IsKept>
__device__ Key bisect(Key high, IsKept is_kept) {
    Key low = 0;  // not kept, or nothing there
    while (high - low > 1) {
        const Key middle = low + (high - low) / 2;
        if (is_kept(middle))
            high = middle;
        else
            low = middle;
    }
    return high;
}

struct RowView {
    const float* logits;
    const double* odds;  // relative to the likeliest token
    int num_tokens;
};

// The last key that top-k, top-p and min-p keep. best: the likeliest token's.
__device__ Key last_kept(const RowView& view, const SampleRow& row, Key best, Shared& shared) {
    Key last = 0;
    if (row.top_k > 0 && row.top_k < view.num_tokens) {
        last = bisect(best, [&](Key key) {
            double count = 0.0;
            for (int t = static_cast<int>(threadIdx.x); t < view.num_tokens; t += kThreads)
                count += key_of(view.logits[t], t) >= key ? 1.0 : 0.0;
            return sum_of(count, shared) <= static_cast<double>(row.top_k);
        });
    }
    if (row.top_p < 1.0) {
        const auto mass_above = [&](Key key) {
            double mass = 0.0;
            for (int t = static_cast<int>(threadIdx.x); t < view.num_tokens; t += kThreads)
                mass += key_of(view.logits[t], t) > key ? view.odds[t] : 0.0;
            return sum_of(mass, shared);
        };
        // `last` itself counts: everything above last - 1.
        const double wanted = row.top_p * mass_above(last == 0 ? 0 : last - 1);
        const Key kept = bisect(best, [&](Key key) { return mass_above(key) < wanted; });
        last = kept > last ? kept : last;
    }
    return last;
}

// argmax(logit / temperature + noise) over what is kept, the lower token on ties.
__device__ int choose(
    const RowView& view, const SampleRow& row, Key last, Key best, Shared& shared) {
    double highest = __longlong_as_double(static_cast<long long>(0xFFF0000000000000ULL));
    int winner = token_of(best);
    for (int t = static_cast<int>(threadIdx.x); t < view.num_tokens; t += kThreads) {
        const Key key = key_of(view.logits[t], t);
        if (key != best && (key < last || (row.min_p > 0.0 && view.odds[t] < row.min_p))) continue;
        const auto words = philox4x32(
            {static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(row.position),
             static_cast<std::uint32_t>(row.choice_index), 0U},
            {static_cast<std::uint32_t>(row.seed), static_cast<std::uint32_t>(row.seed >> 32)});
        const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 12;
        const double uniform = (static_cast<double>(bits) + 0.5) * 0x1p-52;
        const double noise = -log(-log(uniform));
        const double value = static_cast<double>(view.logits[t]) / row.temperature + noise;
        if (value > highest) {
            highest = value;
            winner = t;
        }
    }
    const double top =
        block_reduce(highest, shared.sums, [](double a, double b) { return a > b ? a : b; });
    // Keys order by the lower token first.
    const Key candidate = highest == top ? key_of(0.0F, winner) : 0;
    return token_of(max_key(candidate, shared));
}

__global__ void __launch_bounds__(kThreads) sample_kernel(const float* all_logits,
                                                          std::int64_t stride,
                                                          int num_tokens,
                                                          const SampleRow* rows,
                                                          SampleLists lists,
                                                          float* all_edited,
                                                          double* all_odds,
                                                          SampleResult* results) {
    __shared__ Shared shared;
    const std::int64_t m = blockIdx.x;
    const SampleRow row = rows[m];
    const float* logits = all_logits + m * stride;
    float* edited = all_edited + m * num_tokens;
    double* odds = all_odds + m * num_tokens;
    for (int t = static_cast<int>(threadIdx.x); t < num_tokens; t += kThreads)
        edited[t] = logits[t];
    __syncthreads();
    edit(row, lists, edited, num_tokens);

    const Key best = best_below(edited, num_tokens, ~Key{0}, shared);
    int token = token_of(best);
    if (row.temperature > 0.0) {
        const bool has_odds = row.top_p < 1.0 || row.min_p > 0.0;
        const double max = edited[token];
        for (int t = static_cast<int>(threadIdx.x); has_odds && t < num_tokens; t += kThreads)
            odds[t] = exp((static_cast<double>(edited[t]) - max) / row.temperature);
        __syncthreads();
        const RowView view{edited, odds, num_tokens};
        const Key last = last_kept(view, row, best, shared);
        token = choose(view, row, last, best, shared);
    }

    // Log-probabilities are of the logits before any edit.
    const Key top = best_below(logits, num_tokens, ~Key{0}, shared);
    const double max = logits[token_of(top)];
    double total = 0.0;
    for (int t = static_cast<int>(threadIdx.x); t < num_tokens; t += kThreads)
        total += static_cast<double>(expf(logits[t] - static_cast<float>(max)));
    total = max + log(sum_of(total, shared));
    SampleResult& result = results[m];
    const int count = row.num_alternatives < num_tokens ? row.num_alternatives : num_tokens;
    if (threadIdx.x == 0) {
        result.token = token;
        result.logprob = static_cast<float>(static_cast<double>(logits[token]) - total);
        result.num_alternatives = count;
    }
    Key limit = ~Key{0};
    for (int i = 0; i < count; ++i) {
        limit = best_below(logits, num_tokens, limit, shared);
        const int other = token_of(limit);
        if (threadIdx.x == 0)
            result.alternatives[i] = {
                other, static_cast<float>(static_cast<double>(logits[other]) - total)};
    }
}

std::size_t edited_bytes(std::int64_t num_rows, std::int64_t num_tokens) {
    constexpr std::size_t kAlignment = 256;
    const auto bytes = static_cast<std::size_t>(num_rows * num_tokens) * sizeof(float);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

std::size_t sample_workspace_bytes(std::int64_t num_rows, std::int64_t num_tokens) {
    return edited_bytes(num_rows, num_tokens) +
           static_cast<std::size_t>(num_rows * num_tokens) * sizeof(double);
}

void sample(MatrixView logits,
            std::int64_t num_tokens,
            const SampleRow* rows,
            const SampleLists& lists,
            void* workspace,
            SampleResult* results,
            cudaStream_t stream) {
    CHECK(num_tokens > 0 && num_tokens <= logits.cols && num_tokens < (1 << kTokenBits));
    if (logits.rows == 0) return;
    auto* edited = static_cast<float*>(workspace);
    auto* odds = reinterpret_cast<double*>(static_cast<std::byte*>(workspace) +
                                           edited_bytes(logits.rows, num_tokens));
    sample_kernel<<<static_cast<unsigned>(logits.rows), kThreads, 0, stream>>>(
        static_cast<const float*>(logits.data), logits.stride, static_cast<int>(num_tokens), rows,
        lists, edited, odds, results);
    CUDA_CHECK(cudaGetLastError());
}

}  // namespace turnpike::kernels::cuda
