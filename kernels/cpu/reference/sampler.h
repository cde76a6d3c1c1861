// The sampler of the reference backend: one row of logits to one token. See kernels/api/sampler.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/sampler.h"

namespace turnpike::kernels::reference {

// logits: the rows of real tokens only.
SampledRow sample_row(std::span<const float> logits, const SampleParams& params);

// The `count` tokens of the largest logits, or all; the lower token first on ties.
std::vector<std::int32_t> likeliest_tokens(std::span<const float> logits, std::int32_t count);

}  // namespace turnpike::kernels::reference
