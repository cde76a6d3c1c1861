#include "kernels/api/sampler.h"

#include <limits>

#include "config/base/check.h"

namespace turnpike::kernels {
namespace {

constexpr std::size_t kWordBits = 32;

void add_bias(std::span<const TokenBias> bias, std::span<float> logits) {
    for (const TokenBias& entry : bias) {
        const auto token = static_cast<std::size_t>(entry.token);
        if (token < logits.size()) logits[token] += entry.bias;
    }
}

void penalize(const SampleParams& params, std::span<float> logits) {
    for (const SeenToken& seen : params.seen) {
        const auto token = static_cast<std::size_t>(seen.token);
        if (token >= logits.size()) continue;
        float& logit = logits[token];
        const bool is_positive = logit > 0.0F;
        logit = is_positive ? logit / params.repetition_penalty : logit * params.repetition_penalty;
        if (seen.num_generated == 0) continue;
        logit -= params.frequency_penalty * static_cast<float>(seen.num_generated);
        logit -= params.presence_penalty;
    }
}

void mask(std::span<const std::uint32_t> allowed, std::span<float> logits) {
    CHECK(allowed.size() * kWordBits >= logits.size());
    for (std::size_t word = 0; word * kWordBits < logits.size(); ++word) {
        const std::uint32_t bits = allowed[word];
        if (bits == ~std::uint32_t{0}) continue;
        for (std::size_t bit = 0; bit < kWordBits; ++bit) {
            const std::size_t token = word * kWordBits + bit;
            const bool is_allowed = (bits >> bit & 1U) != 0;
            if (token < logits.size() && !is_allowed)
                logits[token] = -std::numeric_limits<float>::infinity();
        }
    }
}

}  // namespace

void edit_logits(const SampleParams& params, std::span<float> logits) {
    if (!params.bias.empty()) add_bias(params.bias, logits);
    if (!params.seen.empty()) penalize(params, logits);
    if (!params.allowed.empty()) mask(params.allowed, logits);
}

}  // namespace turnpike::kernels
