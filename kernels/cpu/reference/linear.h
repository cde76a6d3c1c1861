// Linears and the element-wise ops of the reference backend. A view's dtype is f32 throughout.
#pragma once

#include <vector>

#include "kernels/api/rope.h"
#include "kernels/api/segments.h"
#include "kernels/api/tensor.h"
#include "kernels/cpu/reference/weights.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels::reference {

inline float* row_of(MatrixView matrix, std::int64_t index) {
    return static_cast<float*>(matrix.data) + index * matrix.stride;
}

// Rows as FP8 codes' numbers with one scale per row and 128 channels.
struct QuantisedRows {
    std::int64_t cols = 0;
    std::int64_t num_blocks = 0;  // per row
    std::vector<float> values;    // [rows, cols]
    std::vector<float> scales;    // [rows, num_blocks]

    const float* row(std::int64_t index) const { return values.data() + index * cols; }

    const float* scale_row(std::int64_t index) const { return scales.data() + index * num_blocks; }
};

// At most 128 neighbours to FP8 codes' numbers; returns their scale.
float quantise_block(const float* x, std::int64_t count, float* values);
QuantisedRows quantise_rows(MatrixView x);

// Sum over the blocks of `cut` of (sum within the block) * (x's scale * w's scale).
float block_dot(
    const float* x, const float* x_scales, const float* w, const float* w_scales, Segment cut);

// out[m, n] = dot(x[m], w[n]); for a block-scaled weight of x quantised, block by block.
void linear(ThreadPool& threads, MatrixView x, const DenseWeight& weight, MatrixView out);
// The same per segment of K, the segments added in ascending order.
void linear_split_k(ThreadPool& threads, MatrixView x, const DenseWeight& weight, MatrixView out);
void rms_norm(MatrixView x, const float* weight, float epsilon, MatrixView out);
void silu_mul(MatrixView gate, MatrixView up, MatrixView out);
// Rotates count pairs at x by (cosines[j], sines[j]): (x[2j], x[2j+1]), or (x[j], x[j + count]).
void rotate_pairs(float* x, std::int64_t count, const float* cosines, const float* sines);
void rotate_halves(float* x, std::int64_t count, const float* cosines, const float* sines);

}  // namespace turnpike::kernels::reference
