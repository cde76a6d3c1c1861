// Where attention leaves the partial sums of a row, head and split: [value_dim] unnormalised, then
// the largest score and the sum of the odds to it; a sum of 0 marks a split without keys.
#pragma once

#include <cstdint>

namespace turnpike::kernels::cuda {

struct Partials {
    float* data;
    std::int64_t num_heads;
    std::int64_t num_splits;
    std::int64_t value_dim;

    __device__ float* at(std::int64_t row, std::int64_t head, std::int64_t split) const {
        return data + ((row * num_heads + head) * num_splits + split) * (value_dim + 2);
    }
};

}  // namespace turnpike::kernels::cuda
