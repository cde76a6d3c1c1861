// See sampler.h.
#include "kernels/cpu/fast/sampler.h"

#include "kernels/cpu/reference/sampler.h"

namespace turnpike::kernels::fast {

SampledRow sample_row(const KernelTable&,
                      std::span<const float> logits,
                      const SampleParams& params) {
    return reference::sample_row(logits, params);
}

}  // namespace turnpike::kernels::fast
