// Linears and element-wise ops against double precision, and each row's bits against its batch.
#include "kernels/cpu/reference/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/api/fp8.h"
#include "kernels/api/segments.h"
#include "tests/unit/kernels/matrix.h"

namespace turnpike::kernels::reference {
namespace {

double exact_dot(const Matrix& x, std::int64_t m, const Matrix& w, std::int64_t n) {
    double sum = 0.0;
    for (std::int64_t k = 0; k < x.cols; ++k) sum += static_cast<double>(x.at(m, k)) * w.at(n, k);
    return sum;
}

struct Shape {
    std::int64_t m, n, k;
};

constexpr Shape kShapes[] = {{1, 1, 1},  {1, 5, 15},   {3, 4, 16},
                             {2, 7, 17}, {17, 9, 300}, {4, 3, 1300}};

TEST(Linear, MatchesDoublePrecision) {
    ThreadPool threads(1);
    for (const Shape& shape : kShapes) {
        Matrix x(shape.m, shape.k, 1);
        const Matrix w(shape.n, shape.k, 2);
        const DenseWeight weight(shape.n, shape.k, w.values);
        Matrix plain(shape.m, shape.n);
        Matrix split(shape.m, shape.n);
        linear(threads, x.view(), weight, plain.view());
        linear_split_k(threads, x.view(), weight, split.view());
        for (std::int64_t m = 0; m < shape.m; ++m) {
            for (std::int64_t n = 0; n < shape.n; ++n) {
                EXPECT_NEAR(plain.at(m, n), exact_dot(x, m, w, n), 1e-4) << shape.k;
                EXPECT_NEAR(split.at(m, n), exact_dot(x, m, w, n), 1e-4) << shape.k;
            }
        }
    }
}

// What a rank computes for its segments alone, added in order, is what one rank computes.
TEST(LinearSplitK, IsTheOrderedSumOfItsSegments) {
    ThreadPool threads(1);
    constexpr std::int64_t kK = 1300;
    Matrix x(2, kK, 3);
    const Matrix w(5, kK, 4);
    Matrix whole(2, 5);
    linear_split_k(threads, x.view(), DenseWeight(5, kK, w.values), whole.view());
    Matrix sum(2, 5);
    for (std::int64_t s = 0; s < num_segments(kK); ++s) {
        const Segment cut = segment_of(kK, s);
        const std::int64_t width = cut.end - cut.begin;
        std::vector<float> part;
        for (std::int64_t n = 0; n < 5; ++n) {
            for (std::int64_t k = cut.begin; k < cut.end; ++k) part.push_back(w.at(n, k));
        }
        Matrix out(2, 5);
        linear(threads, x.view().col_range(cut.begin, width), DenseWeight(5, width, part),
               out.view());
        for (std::size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += out.values[i];
    }
    EXPECT_EQ(sum.values, whole.values);
}

TEST(Linear, ARowsBitsDoNotDependOnBatchOrThreads) {
    constexpr std::int64_t kK = 700;
    constexpr std::int64_t kN = 300;
    const Matrix w(kN, kK, 5);
    const DenseWeight weight(kN, kK, w.values);
    Matrix x(17, kK, 6);
    Matrix together(17, kN);
    ThreadPool four(4);
    linear(four, x.view(), weight, together.view());
    ThreadPool one(1);
    for (std::int64_t m = 0; m < x.rows; ++m) {
        Matrix alone(1, kN);
        linear(one, x.view().row_range(m, 1), weight, alone.view());
        for (std::int64_t n = 0; n < kN; ++n) ASSERT_EQ(alone.at(0, n), together.at(m, n));
    }
}

TEST(RmsNorm, MatchesDoublePrecisionInPlace) {
    Matrix x(3, 77, 7);
    const Matrix weight(1, 77, 8);
    const Matrix before = x;
    rms_norm(x.view(), weight.values.data(), 1e-6F, x.view());
    for (std::int64_t m = 0; m < 3; ++m) {
        double squares = 0.0;
        for (std::int64_t i = 0; i < 77; ++i) squares += std::pow(before.at(m, i), 2);
        const double inverse = 1.0 / std::sqrt(squares / 77.0 + 1e-6);
        for (std::int64_t i = 0; i < 77; ++i) {
            EXPECT_NEAR(x.at(m, i), before.at(m, i) * inverse * weight.at(0, i), 1e-6);
        }
    }
}

TEST(RmsNorm, EpsilonKeepsZerosFinite) {
    Matrix x(1, 8);
    const Matrix weight(1, 8, 9);
    rms_norm(x.view(), weight.values.data(), 1e-6F, x.view());
    for (const float value : x.values) EXPECT_EQ(value, 0.0F);
}

TEST(SiluMul, MatchesDoublePrecisionAtExtremes) {
    Matrix gate(1, 6);
    gate.values = {0.0F, 1.0F, -1.0F, 100.0F, -100.0F, -20.0F};
    Matrix up(1, 6);
    up.values = {2.0F, 2.0F, 2.0F, 0.5F, 0.5F, 1.0F};
    Matrix out(1, 6);
    silu_mul(gate.view(), up.view(), out.view());
    for (std::int64_t i = 0; i < 6; ++i) {
        const double a = gate.at(0, i);
        EXPECT_NEAR(out.at(0, i), a / (1.0 + std::exp(-a)) * up.at(0, i), 1e-6);
    }
}

TEST(RotatePairs, TurnsNeighboursTogether) {
    float x[4] = {1.0F, 0.0F, 3.0F, 4.0F};
    const float cosines[2] = {0.0F, -1.0F};
    const float sines[2] = {1.0F, 0.0F};
    rotate_pairs(x, 2, cosines, sines);
    EXPECT_EQ(x[0], 0.0F);  // a quarter turn of (1, 0)
    EXPECT_EQ(x[1], 1.0F);
    EXPECT_EQ(x[2], -3.0F);  // half a turn of (3, 4)
    EXPECT_EQ(x[3], -4.0F);
}

// By the definition: codes of x / scale, one scale per row and 128 channels, blocks added in order.
TEST(Linear, QuantisesActivationsOfABlockScaledWeight) {
    ThreadPool threads(1);
    constexpr std::int64_t kK = 300;  // two blocks and a short one
    Matrix x(3, kK, 5);
    for (std::int64_t k = 128; k < 256; ++k) x.at(1, k) = 0.0F;  // a block of zeros
    for (std::int64_t k = 0; k < 128; ++k) x.at(2, k) *= 1e-6F;  // below the bound of the scale
    Matrix codes(130, kK, 6);
    for (float& code : codes.values) code = fp8_to_float(fp8_from_float(code * 400.0F));
    const std::vector<float> scales{0.5F, 0.25F, 2.0F, 1.0F, 3.0F, 0.125F};
    const DenseWeight weight(130, kK, codes.values, scales);
    Matrix plain(3, 130);
    Matrix split(3, 130);
    linear(threads, x.view(), weight, plain.view());
    linear_split_k(threads, x.view(), weight, split.view());
    for (std::int64_t m = 0; m < 3; ++m) {
        for (std::int64_t n = 0; n < 130; ++n) {
            double sum = 0.0;
            for (std::int64_t b = 0; b < 3; ++b) {
                float largest = 1e-4F;
                const std::int64_t end = std::min<std::int64_t>(kK, 128 * (b + 1));
                for (std::int64_t k = 128 * b; k < end; ++k) {
                    largest = std::max(largest, std::fabs(x.at(m, k)));
                }
                const float scale = largest / 448.0F;
                double block = 0.0;
                for (std::int64_t k = 128 * b; k < end; ++k) {
                    const float code = fp8_to_float(fp8_from_float(x.at(m, k) / scale));
                    block += static_cast<double>(code) * codes.at(n, k);
                }
                sum += block * scale * scales[static_cast<std::size_t>(n / 128 * 3 + b)];
            }
            ASSERT_NEAR(plain.at(m, n), sum, 1e-5 * std::abs(sum) + 1e-2) << m << " " << n;
            ASSERT_NEAR(split.at(m, n), sum, 1e-5 * std::abs(sum) + 1e-2) << m << " " << n;
        }
    }
}

}  // namespace
}  // namespace turnpike::kernels::reference
