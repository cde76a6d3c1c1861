// See linear.h.
#include "kernels/cpu/reference/linear.h"

#include <cmath>

#include "config/base/check.h"
#include "kernels/api/segments.h"
#include "kernels/cpu/reference/vector_math.h"

namespace turnpike::kernels::reference {
namespace {

void check_linear(MatrixView x, const DenseWeight& weight, MatrixView out) {
    CHECK(x.dtype == DType::kF32 && out.dtype == DType::kF32);
    CHECK(x.cols == weight.cols() && out.cols == weight.rows() && x.rows == out.rows);
}

}  // namespace

// Weight rows in the outer loop: each is read from memory once for all rows of x.
void linear(ThreadPool& threads, MatrixView x, const DenseWeight& weight, MatrixView out) {
    check_linear(x, weight, out);
    threads.run(weight.rows(), x.rows * x.cols, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
            const float* w = weight.row(n);
            for (std::int64_t m = 0; m < x.rows; ++m) {
                row_of(out, m)[n] = dot(row_of(x, m), w, x.cols);
            }
        }
    });
}

void linear_split_k(ThreadPool& threads, MatrixView x, const DenseWeight& weight, MatrixView out) {
    check_linear(x, weight, out);
    const std::int64_t segments = num_segments(x.cols);
    threads.run(weight.rows(), x.rows * x.cols, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
            const float* w = weight.row(n);
            for (std::int64_t m = 0; m < x.rows; ++m) {
                float sum = 0.0F;
                for (std::int64_t s = 0; s < segments; ++s) {
                    const Segment cut = segment_of(x.cols, s);
                    sum += dot(row_of(x, m) + cut.begin, w + cut.begin, cut.end - cut.begin);
                }
                row_of(out, m)[n] = sum;
            }
        }
    });
}

void rms_norm(MatrixView x, const float* weight, float epsilon, MatrixView out) {
    CHECK(x.rows == out.rows && x.cols == out.cols);
    for (std::int64_t m = 0; m < x.rows; ++m) {
        const float* from = row_of(x, m);
        float* to = row_of(out, m);
        const float mean_square = dot(from, from, x.cols) / static_cast<float>(x.cols);
        const float inverse = 1.0F / std::sqrt(mean_square + epsilon);
        for (std::int64_t i = 0; i < x.cols; ++i) to[i] = from[i] * inverse * weight[i];
    }
}

void silu_mul(MatrixView gate, MatrixView up, MatrixView out) {
    CHECK(gate.rows == out.rows && gate.cols == out.cols);
    CHECK(up.rows == out.rows && up.cols == out.cols);
    for (std::int64_t m = 0; m < out.rows; ++m) {
        const float* a = row_of(gate, m);
        const float* b = row_of(up, m);
        float* to = row_of(out, m);
        for (std::int64_t i = 0; i < out.cols; ++i) to[i] = a[i] / (1.0F + std::exp(-a[i])) * b[i];
    }
}

void rotate_pairs(float* x, std::int64_t count, const float* cosines, const float* sines) {
    for (std::int64_t j = 0; j < count; ++j) {
        const float even = x[2 * j];
        const float odd = x[2 * j + 1];
        x[2 * j] = even * cosines[j] - odd * sines[j];
        x[2 * j + 1] = even * sines[j] + odd * cosines[j];
    }
}

}  // namespace turnpike::kernels::reference
