// The sampler of the reference backend: one row of logits to one token. See kernels/api/sampler.h.
#pragma once

#include <span>

#include "kernels/api/sampler.h"

namespace turnpike::kernels::reference {

// logits: the rows of real tokens only.
SampledRow sample_row(std::span<const float> logits, const SampleParams& params);

}  // namespace turnpike::kernels::reference
