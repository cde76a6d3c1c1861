// The values of a synthetic tensor: pure functions of (seed, name, element), the same on every
// machine. Only integer hashes and single IEEE operations, no std:: distribution.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/model/tensor_plan.h"

namespace turnpike::engine {

// One stream of numbers per tensor.
class SynthStream {
  public:
    SynthStream(std::uint64_t seed, std::string_view name);
    std::uint64_t bits(std::uint64_t index) const;
    // Uniform in [0, 1), a multiple of 2^-24.
    float uniform(std::uint64_t index) const;
    // Sum of four uniforms, mean 0, standard deviation 1, within +-kMaxNormal.
    float normal(std::uint64_t index) const;

    static constexpr float kMaxNormal = 3.4642F;  // 2 * sqrt(3), rounded up

  private:
    std::uint64_t key_;
};

struct SynthContext {
    std::uint64_t seed = 0;
    std::int64_t hidden_size = 0;
    std::string_view
        zeroed_tensor;  // the second block of this FP8 tensor is all zero; may be empty
};

// The bytes of the tensor as a checkpoint stores them, in its preferred dtype.
//   matrices: deviation 0.02; FP8 ones with block scales of which an eighth is ten times and an
//   eighth a tenth of the rest; norms within 0.75 .. 1.25; router biases within -0.1 .. 0.1; the
//   head wide enough that logits have a deviation of about 2 and sampling has something to choose.
std::vector<std::byte> synth_tensor(const SynthContext& context, const TensorSpec& spec);

}  // namespace turnpike::engine
