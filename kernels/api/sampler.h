// Gumbel-max sampling with counter-based noise: the token is argmax(processed logit + noise), where
// the noise depends on (seed, choice, position, token) alone, never on what else runs in the step.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace turnpike::kernels {

// A distinct token of the sequence so far.
struct SeenToken {
    std::int32_t token = 0;
    std::int32_t num_generated = 0;  // times in the output; 0 = in the prompt only
};

struct TokenBias {
    std::int32_t token = 0;
    float bias = 0.0F;
};

struct TokenLogprob {
    std::int32_t token = 0;
    float logprob = 0.0F;
};

// Processing order: logit bias, penalties and mask (edit_logits), temperature, top-k, top-p, min-p.
// Equal logits rank by the lower token. The spans are read during the call only.
struct SampleParams {
    float temperature =
        1.0F;            // 0 = the largest logit, without noise; the filters then change nothing
    float top_p = 1.0F;  // keeps the most likely tokens up to and with the one that reaches top_p
    std::int32_t top_k = 0;  // 0 = all
    float min_p = 0.0F;      // keeps tokens with at least min_p times the largest probability
    std::uint64_t seed = 0;
    std::int32_t choice_index = 0;
    std::int32_t position = 0;  // of the token to be sampled

    float repetition_penalty = 1.0F;  // over prompt and output; over 0
    float presence_penalty = 0.0F;    // over the output, once per token
    float frequency_penalty = 0.0F;   // over the output, per occurrence
    std::span<const SeenToken> seen;  // each token once; needed when a penalty is set
    std::span<const TokenBias> bias;  // each token once
    // Bit t % 32 of word t / 32 says whether token t may be chosen; empty = every token. Covers the
    // row; at least one token with a finite logit is allowed.
    std::span<const std::uint32_t> allowed;
    std::int32_t num_alternatives = 0;  // of the likeliest tokens, to be told with the result
};

// Log-probabilities are of the model's own distribution: natural log softmax of the logits before
// any edit, temperature or filter.
struct SampledRow {
    std::int32_t token = 0;
    float logprob = 0.0F;
    // The likeliest tokens, the likeliest first; fewer than asked for when the row is shorter.
    std::vector<TokenLogprob> alternatives;
};

// Whether edit_logits changes anything.
inline bool has_edits(const SampleParams& params) {
    const bool has_penalty = params.repetition_penalty != 1.0F || params.presence_penalty != 0.0F ||
                             params.frequency_penalty != 0.0F;
    return (has_penalty && !params.seen.empty()) || !params.bias.empty() || !params.allowed.empty();
}

// The definition of bias, penalties and mask, in f32 and in this order, for one row of real tokens:
//   logit += bias
//   logit of a seen token: / repetition_penalty when over 0, else * repetition_penalty
//   logit of a token in the output: -= frequency_penalty * num_generated, then -= presence_penalty
//   logit of a token that is not allowed: -infinity
// Entries for tokens at and beyond the row's end are ignored. Compiled without fused operations, so
// that every backend that calls it has the same bits.
void edit_logits(const SampleParams& params, std::span<float> logits);

// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * counter[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0],
                   static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1],
                   static_cast<std::uint32_t>(p0)};
        key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
    }
    return counter;
}

// A standard Gumbel variate, finite for every input.
inline double gumbel_noise(const SampleParams& params, std::int32_t token) {
    const auto words = philox4x32(
        {static_cast<std::uint32_t>(token), static_cast<std::uint32_t>(params.position),
         static_cast<std::uint32_t>(params.choice_index), 0U},
        {static_cast<std::uint32_t>(params.seed), static_cast<std::uint32_t>(params.seed >> 32)});
    const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 12;  // 52 bits
    const double uniform = (static_cast<double>(bits) + 0.5) * 0x1p-52;           // inside (0, 1)
    return -std::log(-std::log(uniform));
}

}  // namespace turnpike::kernels
