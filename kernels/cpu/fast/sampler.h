// The sampler of the fast backends: the reference's choice without sorting the vocabulary. See
// kernels/api/sampler.h.
#pragma once

#include <span>

#include "kernels/api/sampler.h"
#include "kernels/cpu/fast/kernel_table.h"

namespace turnpike::kernels::fast {

// logits: the rows of real tokens only. Chooses the reference's token but where the last token of
// the top-p set hangs on the rounding of a sum.
SampledRow sample_row(const KernelTable& table,
                      std::span<const float> logits,
                      const SampleParams& params);

}  // namespace turnpike::kernels::fast
