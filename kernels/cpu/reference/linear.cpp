// See linear.h.
#include "kernels/cpu/reference/linear.h"

#include <algorithm>
#include <cmath>

#include "config/base/check.h"
#include "kernels/api/fp8.h"
#include "kernels/api/segments.h"
#include "kernels/cpu/reference/vector_math.h"

namespace turnpike::kernels::reference {
namespace {

void check_linear(MatrixView x, const DenseWeight& weight, MatrixView out) {
    CHECK(x.dtype == DType::kF32 && out.dtype == DType::kF32);
    CHECK(x.cols == weight.cols() && out.cols == weight.rows() && x.rows == out.rows);
}

// Weight rows in the outer loop: each is read from memory once for all rows of x.
void linear_in_cuts(ThreadPool& threads,
                    MatrixView x,
                    const DenseWeight& weight,
                    const std::vector<Segment>& cuts,
                    MatrixView out) {
    check_linear(x, weight, out);
    QuantisedRows coded;
    if (weight.is_block_scaled()) coded = quantise_rows(x);
    threads.run(weight.rows(), x.rows * x.cols, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
            const float* w = weight.row(n);
            for (std::int64_t m = 0; m < x.rows; ++m) {
                float sum = 0.0F;
                for (const Segment& cut : cuts) {
                    sum += weight.is_block_scaled()
                               ? block_dot(coded.row(m), coded.scale_row(m), w, weight.scale_row(n),
                                           cut)
                               : dot(row_of(x, m) + cut.begin, w + cut.begin, cut.end - cut.begin);
                }
                row_of(out, m)[n] = sum;
            }
        }
    });
}

}  // namespace

float quantise_block(const float* x, std::int64_t count, float* values) {
    float largest = 0.0F;
    for (std::int64_t k = 0; k < count; ++k) largest = std::max(largest, std::fabs(x[k]));
    const float scale = activation_scale(largest);
    for (std::int64_t k = 0; k < count; ++k) values[k] = fp8_to_float(fp8_from_float(x[k] / scale));
    return scale;
}

QuantisedRows quantise_rows(MatrixView x) {
    QuantisedRows rows;
    rows.cols = x.cols;
    rows.num_blocks = (x.cols + kFp8Block - 1) / kFp8Block;
    rows.values.resize(static_cast<std::size_t>(x.rows * x.cols));
    rows.scales.reserve(static_cast<std::size_t>(x.rows * rows.num_blocks));
    for (std::int64_t m = 0; m < x.rows; ++m) {
        for (std::int64_t k = 0; k < x.cols; k += kFp8Block) {
            rows.scales.push_back(quantise_block(row_of(x, m) + k,
                                                 std::min<std::int64_t>(kFp8Block, x.cols - k),
                                                 rows.values.data() + m * x.cols + k));
        }
    }
    return rows;
}

float block_dot(
    const float* x, const float* x_scales, const float* w, const float* w_scales, Segment cut) {
    float sum = 0.0F;
    for (std::int64_t k = cut.begin; k < cut.end; k += kFp8Block) {
        const std::int64_t count = std::min<std::int64_t>(kFp8Block, cut.end - k);
        const std::int64_t block = k / kFp8Block;
        sum += dot(x + k, w + k, count) * (x_scales[block] * w_scales[block]);
    }
    return sum;
}

void linear(ThreadPool& threads, MatrixView x, const DenseWeight& weight, MatrixView out) {
    linear_in_cuts(threads, x, weight, {Segment{0, x.cols}}, out);
}

void linear_split_k(ThreadPool& threads, MatrixView x, const DenseWeight& weight, MatrixView out) {
    std::vector<Segment> cuts;
    for (std::int64_t s = 0; s < num_segments(x.cols); ++s) cuts.push_back(segment_of(x.cols, s));
    linear_in_cuts(threads, x, weight, cuts, out);
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

void rotate_halves(float* x, std::int64_t count, const float* cosines, const float* sines) {
    for (std::int64_t j = 0; j < count; ++j) {
        const float low = x[j];
        const float high = x[j + count];
        x[j] = low * cosines[j] - high * sines[j];
        x[j + count] = high * cosines[j] + low * sines[j];
    }
}

}  // namespace turnpike::kernels::reference
