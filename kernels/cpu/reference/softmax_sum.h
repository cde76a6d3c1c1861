// The softmax-weighted sum of values that both attentions of the reference build, one cache block
// at a time: the cuts and the order of their merging are part of the numbers' definition.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/cpu/reference/vector_math.h"

namespace turnpike::kernels::reference {

// A softmax-weighted sum that grows by one block of keys at a time.
struct SoftmaxSum {
    float max = -std::numeric_limits<float>::infinity();
    float total = 0.0F;
    std::vector<float> values;  // [width]
};

// Merges `count` keys of one block: their scores are turned into weights, value t is at values + t
// * stride.
inline void merge_block(std::span<float> scores,
                        const float* values,
                        std::int64_t stride,
                        std::vector<float>& scratch,
                        SoftmaxSum& sum) {
    const float block_max = *std::max_element(scores.begin(), scores.end());
    float block_total = 0.0F;
    std::fill(scratch.begin(), scratch.end(), 0.0F);
    const auto width = static_cast<std::int64_t>(sum.values.size());
    for (std::size_t t = 0; t < scores.size(); ++t) {
        const float weight = std::exp(scores[t] - block_max);
        block_total += weight;
        add_scaled(weight, values + static_cast<std::int64_t>(t) * stride, width, scratch.data());
    }
    const float max = std::max(sum.max, block_max);
    const float old_scale = std::exp(sum.max - max);  // exp(-inf) = 0 at the first block
    const float new_scale = std::exp(block_max - max);
    sum.max = max;
    sum.total = sum.total * old_scale + block_total * new_scale;
    for (std::size_t i = 0; i < sum.values.size(); ++i) {
        sum.values[i] = sum.values[i] * old_scale + scratch[i] * new_scale;
    }
}

}  // namespace turnpike::kernels::reference
