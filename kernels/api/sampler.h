// Gumbel-max sampling with counter-based noise: the token is argmax(processed logit + noise), where
// the noise depends on (seed, choice, position, token) alone, never on what else runs in the step.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace turnpike::kernels {

// Processing order: temperature, top-k, top-p, min-p. Equal logits rank by the lower token.
struct SampleParams {
    float temperature =
        1.0F;            // 0 = the largest logit, without noise; the filters then change nothing
    float top_p = 1.0F;  // keeps the most likely tokens up to and with the one that reaches top_p
    std::int32_t top_k = 0;  // 0 = all
    float min_p = 0.0F;      // keeps tokens with at least min_p times the largest probability
    std::uint64_t seed = 0;
    std::int32_t choice_index = 0;
    std::int32_t position = 0;  // of the token to be sampled
};

struct SampledRow {
    std::int32_t token = 0;
    // Of the model's own distribution: natural log softmax of the logits before temperature and
    // filters.
    float logprob = 0.0F;
};

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
