// Both forms of MLA against double precision, and their bits against batch, chunking and block
// placement.
#include "kernels/cpu/reference/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/cpu/reference/linear.h"
#include "tests/unit/kernels/matrix.h"

namespace turnpike::kernels::reference {
namespace {

MlaShape test_shape() {
    MlaShape shape;
    shape.num_heads = 3;
    shape.nope_dim = 10;
    shape.rope_dim = 6;
    shape.v_dim = 7;
    shape.latent_dim = 19;
    shape.softmax_scale = 0.4F;
    return shape;
}

constexpr std::int64_t kPositions = 150;  // two whole blocks and a part

// One sequence: its cache rows, queries and weights.
class MlaTest : public testing::Test {
  protected:
    MlaTest()
        : kv_rows_(kPositions, shape_.cache_dim(), 1),
          queries_(kPositions, shape_.num_heads * shape_.query_dim(), 2),
          kv_b_(shape_.num_heads * (shape_.nope_dim + shape_.v_dim), shape_.latent_dim, 3),
          kv_up_(DenseWeight(kv_b_.rows, kv_b_.cols, kv_b_.values), std::nullopt, shape_) {}

    // Runs rows [first, first + count) of the sequence, after filling the cache up to their end.
    Matrix attend(bool is_naive,
                  std::int64_t first,
                  std::int64_t count,
                  std::vector<std::int32_t> table,
                  int num_threads = 1) {
        PagedCache cache({2, 8, shape_.cache_dim()});
        const AttentionSlice filled{0, first + count, 0, table};
        write_kv(kv_rows_.view(), std::span(&filled, 1), 1, cache);
        Matrix out(count, shape_.num_heads * shape_.v_dim);
        const AttentionSlice slice{0, count, first, table};
        const AttentionCall call{queries_.view().row_range(first, count),
                                 std::span(&slice, 1),
                                 kv_up_,
                                 shape_,
                                 1,
                                 cache,
                                 out.view()};
        ThreadPool threads(num_threads);
        is_naive ? attend_naive(threads, call) : attend_absorbed(threads, call);
        return out;
    }

    double exact(std::int64_t row, std::int64_t head, std::int64_t column) {
        std::vector<double> scores;
        std::vector<double> values;
        const float* query = &queries_.at(row, head * shape_.query_dim());
        const std::int64_t first = head * (shape_.nope_dim + shape_.v_dim);
        for (std::int64_t t = 0; t <= row; ++t) {
            double score = 0.0;
            for (std::int64_t i = 0; i < shape_.nope_dim; ++i) score += query[i] * up(first + i, t);
            for (std::int64_t i = 0; i < shape_.rope_dim; ++i) {
                score += static_cast<double>(query[shape_.nope_dim + i]) *
                         kv_rows_.at(t, shape_.latent_dim + i);
            }
            scores.push_back(score * 0.4);
            values.push_back(up(first + shape_.nope_dim + column, t));
        }
        const double max = *std::max_element(scores.begin(), scores.end());
        double total = 0.0;
        double sum = 0.0;
        for (std::size_t t = 0; t < scores.size(); ++t) {
            total += std::exp(scores[t] - max);
            sum += std::exp(scores[t] - max) * values[t];
        }
        return sum / total;
    }

    void expect_exact(const Matrix& out, std::int64_t first) {
        for (std::int64_t r = 0; r < out.rows; ++r) {
            for (std::int64_t head = 0; head < shape_.num_heads; ++head) {
                for (std::int64_t c = 0; c < shape_.v_dim; ++c) {
                    ASSERT_NEAR(out.at(r, head * shape_.v_dim + c), exact(first + r, head, c),
                                2e-5);
                }
            }
        }
    }

    const MlaShape shape_ = test_shape();
    const std::vector<std::int32_t> table_{0, 1, 2};
    Matrix kv_rows_;
    Matrix queries_;
    Matrix kv_b_;
    KvUpWeight kv_up_;

  private:
    double up(std::int64_t kv_b_row, std::int64_t position) {
        double sum = 0.0;
        for (std::int64_t i = 0; i < shape_.latent_dim; ++i) {
            sum += static_cast<double>(kv_b_.at(kv_b_row, i)) * kv_rows_.at(position, i);
        }
        return sum;
    }
};

TEST_F(MlaTest, NaiveMatchesDoublePrecision) {
    expect_exact(attend(true, 0, kPositions, table_), 0);
}

TEST_F(MlaTest, AbsorbedMatchesDoublePrecision) {
    expect_exact(attend(false, 0, kPositions, table_), 0);
}

TEST_F(MlaTest, BitsDoNotDependOnChunks) {
    for (const bool is_naive : {true, false}) {
        const Matrix whole = attend(is_naive, 0, kPositions, table_);
        std::int64_t first = 0;
        for (const std::int64_t count : {1, 17, 46, 1, 64, 21}) {
            const Matrix part = attend(is_naive, first, count, table_);
            for (std::int64_t r = 0; r < count; ++r) {
                for (std::int64_t c = 0; c < part.cols; ++c) {
                    ASSERT_EQ(part.at(r, c), whole.at(first + r, c)) << first + r;
                }
            }
            first += count;
        }
        ASSERT_EQ(first, kPositions);
    }
}

TEST_F(MlaTest, BitsDoNotDependOnBlockPlacementOrThreads) {
    for (const bool is_naive : {true, false}) {
        const Matrix plain = attend(is_naive, 0, kPositions, table_);
        EXPECT_EQ(attend(is_naive, 0, kPositions, {5, 0, 3}).values, plain.values);
        EXPECT_EQ(attend(is_naive, 0, kPositions, {7, 6, 2, 1}, 3).values, plain.values);
    }
}

TEST_F(MlaTest, LargeScoresStayFinite) {
    for (float& value : queries_.values) value *= 1000.0F;
    for (const bool is_naive : {true, false}) {
        for (const float value : attend(is_naive, 0, kPositions, table_).values) {
            ASSERT_TRUE(std::isfinite(value));
        }
    }
}

using MlaDeathTest = MlaTest;

TEST_F(MlaDeathTest, ATableThatIsTooShortIsABug) {
    EXPECT_DEATH(attend(true, 0, kPositions, {0, 1}), "block_table");
}

}  // namespace
}  // namespace turnpike::kernels::reference
