// See sampler.h. A cluster of blocks a row, each block with every kBlocks-th run of kThreads
// tokens. What top-k, top-p and min-p keep is a prefix of the ranking by (logit, lower token
// first); its last member is found digit by digit, from histograms of what the tokens of each digit
// weigh. Weights are integers, so that no sum depends on the order in which threads add.
#include <cooperative_groups.h>

#include "config/base/check.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/sampler.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kBlocks = 8;
constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kTokenBits = 24;
constexpr int kKeyBits = 32 + kTokenBits;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;

using Key = unsigned long long;
using Mass = unsigned long long;

// What the likeliest token weighs: kMaxTokens of it stay below 2^64, and a token that weighs
// nothing has less than 2^-43 of its probability.
constexpr double kUnit = 0x1p43;

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

// Larger values have larger bits.
__device__ Key ordered_bits(double value) {
    const auto bits = static_cast<Key>(__double_as_longlong(value));
    return (bits >> 63) != 0 ? ~bits : bits | Key{1} << 63;
}

struct Shared {
    Mass histogram[kDigits][32];  // each lane adds to a column of its own
    Mass told[2][kDigits];        // what this block tells the others, by turns
    Mass sums[kDigits];
    Mass warps[kWarps];
    int digit;
    Mass above;
};

// The threads that work on one row.
class Row {
  public:
    __device__ Row(Shared& shared, int num_tokens)
        : shared_(shared),
          cluster_(cooperative_groups::this_cluster()),
          rank_(static_cast<int>(cluster_.block_rank())),
          num_tokens_(num_tokens) {}

    __device__ int num_tokens() const { return num_tokens_; }

    __device__ bool is_leader() const { return rank_ == 0 && threadIdx.x == 0; }

    // Whether the token is one of this block's.
    __device__ bool has(int token) const { return token / kThreads % kBlocks == rank_; }

    // body(token) for each token of this thread.
    template <class Body>
    __device__ void each(Body body) const {
        for (int t = rank_ * kThreads + static_cast<int>(threadIdx.x); t < num_tokens_;
             t += kBlocks * kThreads)
            body(t);
    }

    // combine over the row's threads; the result in every one of them.
    template <class Combine>
    __device__ Mass reduce(Mass value, Combine combine) {
        for (int lane = 16; lane > 0; lane /= 2)
            value = combine(value, __shfl_xor_sync(0xFFFFFFFFU, value, lane));
        if (threadIdx.x % 32 == 0) shared_.warps[threadIdx.x / 32] = value;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int w = 1; w < kWarps; ++w) value = combine(value, shared_.warps[w]);
            shared_.told[turn_][0] = value;
        }
        return exchange(0, combine);
    }

    __device__ Key max(Key key) {
        return reduce(key, [](Key a, Key b) { return a > b ? a : b; });
    }

    __device__ Mass sum(Mass mass) {
        return reduce(mass, [](Mass a, Mass b) { return a + b; });
    }

    // The largest key below `limit`; 0 when there is none.
    __device__ Key best_below(const float* logits, Key limit) {
        Key best = 0;
        each([&](int t) {
            const Key key = key_of(logits[t], t);
            if (key < limit && key > best) best = key;
        });
        return max(best);
    }

    // The key of the token with which the sum of mass(key, token), in the order of the ranking,
    // first reaches wanted(sum of all); 0 when it never does. Keys below `floor` weigh nothing.
    template <class MassOf, class Wanted>
    __device__ Key reach(const float* logits, Key floor, MassOf mass_of, Wanted wanted_of) {
        Key prefix = 0;
        Mass above = 0;
        Mass wanted = 0;
        for (int shift = kKeyBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
            clear();
            each([&](int t) {
                const Key key = key_of(logits[t], t);
                if (key >> shift >> kDigitBits != prefix || key < floor) return;
                const Mass mass = mass_of(key, t);
                if (mass != 0)
                    atomicAdd(&shared_.histogram[key >> shift & (kDigits - 1)][threadIdx.x % 32],
                              mass);
            });
            add_up();
            if (prefix == 0 && shift == kKeyBits - kDigitBits) wanted = wanted_of(total());
            if (!find(wanted, above)) return 0;
            prefix = prefix << kDigitBits | static_cast<Key>(shared_.digit);
            above = shared_.above;
        }
        return prefix;
    }

    // No block may leave while another reads what it told.
    __device__ void leave() { cluster_.sync(); }

  private:
    template <class Combine>
    __device__ Mass exchange(int at, Combine combine) {
        cluster_.sync();
        Mass* const own = &shared_.told[turn_][at];
        turn_ ^= 1;
        Mass result = *cluster_.map_shared_rank(own, 0);
#pragma unroll
        for (int block = 1; block < kBlocks; ++block)
            result = combine(result, *cluster_.map_shared_rank(own, block));
        return result;
    }

    __device__ void clear() {
        Mass* const all = &shared_.histogram[0][0];
        for (int i = static_cast<int>(threadIdx.x); i < kDigits * 32; i += kThreads) all[i] = 0;
        __syncthreads();
    }

    // sums[digit] over the cluster.
    __device__ void add_up() {
        constexpr int kParts = kThreads / kDigits;
        const int digit = static_cast<int>(threadIdx.x) / kParts;
        const int part = static_cast<int>(threadIdx.x) % kParts;
        __syncthreads();
        Mass sum = 0;
        for (int i = 0; i < 32 / kParts; ++i)
            sum += shared_.histogram[digit][(i * kParts + part + digit) % 32];
        for (int step = kParts / 2; step > 0; step /= 2)
            sum += __shfl_xor_sync(0xFFFFFFFFU, sum, step);
        if (part == 0) shared_.told[turn_][digit] = sum;
        const int mine = static_cast<int>(threadIdx.x) % kDigits;
        const Mass all = exchange(mine, [](Mass a, Mass b) { return a + b; });
        if (threadIdx.x < kDigits) shared_.sums[mine] = all;
        __syncthreads();
    }

    __device__ Mass total() const {
        Mass all = 0;
        for (int digit = static_cast<int>(threadIdx.x) % 32; digit < kDigits; digit += 32)
            all += shared_.sums[digit];
        for (int lane = 16; lane > 0; lane /= 2) all += __shfl_xor_sync(0xFFFFFFFFU, all, lane);
        return all;
    }

    // The largest digit with which `wanted` is reached, and what lies above it, to `shared`.
    __device__ bool find(Mass wanted, Mass above) {
        constexpr int kPerLane = kDigits / 32;
        const int lane = static_cast<int>(threadIdx.x) % 32;
        const int first = kDigits - 1 - lane * kPerLane;  // this lane's, descending
        Mass own = 0;
        for (int i = 0; i < kPerLane; ++i) own += shared_.sums[first - i];
        Mass before = own;
        for (int step = 1; step < 32; step *= 2) {
            const Mass other = __shfl_up_sync(0xFFFFFFFFU, before, step);
            if (lane >= step) before += other;
        }
        before += above - own;
        const bool is_here = before < wanted && before + own >= wanted;
        if (is_here && threadIdx.x < 32) {
            int digit = first;
            while (before + shared_.sums[digit] < wanted) before += shared_.sums[digit--];
            shared_.digit = digit;
            shared_.above = before;
        }
        const bool is_found = __ballot_sync(0xFFFFFFFFU, is_here) != 0;
        __syncthreads();
        return is_found;
    }

    Shared& shared_;
    cooperative_groups::cluster_group cluster_;
    int rank_;
    int num_tokens_;
    int turn_ = 0;
};

// kernels/api/sampler.h, edit_logits; each token is in a list once, so threads do not meet.
__device__ void edit(const SampleRow& params,
                     const SampleLists& lists,
                     const Row& row,
                     float* logits) {
    for (int i = static_cast<int>(threadIdx.x); i < params.num_bias; i += kThreads) {
        const TokenBias entry = lists.bias[params.first_bias + i];
        if (entry.token >= 0 && entry.token < row.num_tokens() && row.has(entry.token))
            logits[entry.token] = __fadd_rn(logits[entry.token], entry.bias);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < params.num_seen; i += kThreads) {
        const SeenToken seen = lists.seen[params.first_seen + i];
        if (seen.token < 0 || seen.token >= row.num_tokens() || !row.has(seen.token)) continue;
        float logit = logits[seen.token];
        logit = logit > 0.0F ? __fdiv_rn(logit, params.repetition_penalty)
                             : __fmul_rn(logit, params.repetition_penalty);
        if (seen.num_generated != 0) {
            const float times = static_cast<float>(seen.num_generated);
            logit = __fsub_rn(logit, __fmul_rn(params.frequency_penalty, times));
            logit = __fsub_rn(logit, params.presence_penalty);
        }
        logits[seen.token] = logit;
    }
    __syncthreads();
    if (params.first_allowed >= 0) {
        const std::uint32_t* words = lists.allowed + params.first_allowed;
        row.each([&](int t) {
            if ((words[t / 32] >> (t % 32) & 1U) == 0) logits[t] = __int_as_float(0xFF800000);
        });
    }
}

// The row as it is chosen from: the logits themselves, or a copy with the edits.
__device__ const float* edited(const SampleRow& params,
                               const SampleLists& lists,
                               const Row& row,
                               const float* logits,
                               float* copy) {
    if (params.num_bias == 0 && params.num_seen == 0 && params.first_allowed < 0) return logits;
    row.each([&](int t) { copy[t] = logits[t]; });
    __syncthreads();
    edit(params, lists, row, copy);
    __syncthreads();
    return copy;
}

// Probabilities relative to the likeliest token's.
struct Odds {
    const float* logits;
    double max;
    double temperature;

    __device__ double of(int token) const {
        return exp((static_cast<double>(logits[token]) - max) / temperature);
    }

    __device__ Mass mass(int token) const {
        return static_cast<Mass>(__double2ull_rn(of(token) * kUnit));
    }
};

// The last key that top-k and top-p keep; 0: all are.
__device__ Key last_kept(const Odds& odds, const SampleRow& params, Row& row) {
    Key last = 0;
    if (params.top_k > 0 && params.top_k < row.num_tokens()) {
        last = row.reach(
            odds.logits, 0, [](Key, int) { return Mass{1}; },
            [&](Mass) { return static_cast<Mass>(params.top_k); });
    }
    if (params.top_p < 1.0) {
        const Key kept = row.reach(
            odds.logits, last, [&](Key, int token) { return odds.mass(token); },
            [&](Mass total) {
                const Mass wanted = __double2ull_ru(params.top_p * static_cast<double>(total));
                return wanted > 1 ? wanted : Mass{1};
            });
        last = kept > last ? kept : last;
    }
    return last;
}

// argmax(logit / temperature + noise) over what is kept, the lower token on ties.
__device__ int choose(const Odds& odds, const SampleRow& params, Key best, Row& row) {
    const Key last = last_kept(odds, params, row);
    Key highest = 0;
    int winner = token_of(best);
    row.each([&](int t) {
        const Key key = key_of(odds.logits[t], t);
        if (key != best && (key < last || (params.min_p > 0.0 && odds.of(t) < params.min_p)))
            return;
        const auto words =
            philox4x32({static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(params.position),
                        static_cast<std::uint32_t>(params.choice_index), 0U},
                       {static_cast<std::uint32_t>(params.seed),
                        static_cast<std::uint32_t>(params.seed >> 32)});
        const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 12;
        const double uniform = (static_cast<double>(bits) + 0.5) * 0x1p-52;
        const double noise = -log(-log(uniform));
        const Key value =
            ordered_bits(static_cast<double>(odds.logits[t]) / params.temperature + noise);
        if (value > highest) {
            highest = value;
            winner = t;
        }
    });
    const Key top = row.max(highest);
    // Keys order by the lower token first.
    return token_of(row.max(highest == top ? key_of(0.0F, winner) : 0));
}

__global__ void __launch_bounds__(kThreads) sample_kernel(const float* all_logits,
                                                          std::int64_t stride,
                                                          int num_tokens,
                                                          const SampleRow* rows,
                                                          SampleLists lists,
                                                          float* copies,
                                                          SampleResult* results) {
    extern __shared__ __align__(16) unsigned char memory[];
    let_next_begin();
    wait_for_inputs();
    Row row(*reinterpret_cast<Shared*>(memory), num_tokens);
    const std::int64_t m = blockIdx.x / kBlocks;
    const SampleRow params = rows[m];
    const float* const logits = all_logits + m * stride;
    const float* const chosen_from = edited(params, lists, row, logits, copies + m * num_tokens);

    const Key best = row.best_below(chosen_from, ~Key{0});
    int token = token_of(best);
    if (params.temperature > 0.0) {
        token = choose({chosen_from, static_cast<double>(chosen_from[token]), params.temperature},
                       params, best, row);
    }

    // Log-probabilities are of the logits before any edit.
    const Key top = chosen_from == logits ? best : row.best_below(logits, ~Key{0});
    const float max = logits[token_of(top)];
    Mass mass = 0;
    row.each([&](int t) {
        mass += __double2ull_rn(static_cast<double>(expf(logits[t] - max)) * kUnit);
    });
    const double total = static_cast<double>(max) + log(static_cast<double>(row.sum(mass)) / kUnit);
    SampleResult& result = results[m];
    const int count = params.num_alternatives < num_tokens ? params.num_alternatives : num_tokens;
    if (row.is_leader()) {
        result.token = token;
        result.logprob = static_cast<float>(static_cast<double>(logits[token]) - total);
        result.num_alternatives = count;
    }
    Key limit = ~Key{0};
    for (int i = 0; i < count; ++i) {
        limit = row.best_below(logits, limit);
        const int other = token_of(limit);
        if (row.is_leader())
            result.alternatives[i] = {
                other, static_cast<float>(static_cast<double>(logits[other]) - total)};
    }
    row.leave();
}

}  // namespace

std::size_t sample_workspace_bytes(std::int64_t num_rows, std::int64_t num_tokens) {
    return static_cast<std::size_t>(num_rows * num_tokens) * sizeof(float);
}

void sample(MatrixView logits,
            std::int64_t num_tokens,
            const SampleRow* rows,
            const SampleLists& lists,
            void* workspace,
            SampleResult* results,
            cudaStream_t stream) {
    CHECK(num_tokens > 0 && num_tokens <= logits.cols && num_tokens < kMaxTokens);
    if (logits.rows == 0) return;
    launch_clusters(sample_kernel,
                    {dim3(static_cast<unsigned>(logits.rows) * kBlocks), kThreads, sizeof(Shared)},
                    kBlocks, stream, static_cast<const float*>(logits.data), logits.stride,
                    static_cast<int>(num_tokens), rows, lists, static_cast<float*>(workspace),
                    results);
}

}  // namespace turnpike::kernels::cuda
