// Linears and the element-wise ops of the reference backend. A view's dtype is f32 throughout.
#pragma once

#include "kernels/api/rope.h"
#include "kernels/api/tensor.h"
#include "kernels/cpu/reference/weights.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels::reference {

inline float* row_of(MatrixView matrix, std::int64_t index) {
    return static_cast<float*>(matrix.data) + index * matrix.stride;
}

// out[m, n] = dot(x[m], w[n]).
void linear(ThreadPool& threads, MatrixView x, const DenseWeight& weight, MatrixView out);
// The same per segment of K, the segments added in ascending order.
void linear_split_k(ThreadPool& threads, MatrixView x, const DenseWeight& weight, MatrixView out);
void rms_norm(MatrixView x, const float* weight, float epsilon, MatrixView out);
void silu_mul(MatrixView gate, MatrixView up, MatrixView out);
// Rotates count pairs at x: (x[2j], x[2j+1]) by (cosines[j], sines[j]).
void rotate_pairs(float* x, std::int64_t count, const float* cosines, const float* sines);

}  // namespace turnpike::kernels::reference
