// Grouped-query attention against double precision, over a paged cache with shuffled blocks.
#include "kernels/cpu/reference/grouped_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/kernels/matrix.h"

namespace turnpike::kernels::reference {
namespace {

constexpr std::int64_t kTokens = 150;  // two whole blocks and a part

class GroupedAttention : public testing::Test {
  protected:
    GroupedAttention()
        : kv_(kTokens, shape_.cache_dim(), 1),
          queries_(kTokens, shape_.query_width(), 2),
          cache_({2, 4, shape_.cache_dim()}) {
        write_kv(kv_.view(), all(), 1, cache_);
    }

    std::vector<AttentionSlice> all() const { return {{0, kTokens, 0, table_}}; }

    Matrix attend(const std::vector<AttentionSlice>& slices) {
        Matrix out(kTokens, shape_.query_width());
        ThreadPool threads(2);
        attend_grouped(threads, {queries_.view(), slices, shape_, 1, cache_, out.view()});
        return out;
    }

    double exact(std::int64_t row, std::int64_t head, std::int64_t column) const {
        const std::int64_t kv_head = head / 3;
        double total = 0.0;
        double sum = 0.0;
        for (std::int64_t t = 0; t <= row; ++t) {
            double score = 0.0;
            for (std::int64_t i = 0; i < 10; ++i) {
                score += static_cast<double>(queries_.at(row, head * 10 + i)) *
                         kv_.at(t, kv_head * 10 + i);
            }
            const double weight = std::exp(score * 0.5);
            total += weight;
            sum += weight * kv_.at(t, 20 + kv_head * 10 + column);
        }
        return sum / total;
    }

    const GqaShape shape_{6, 2, 10, 0.5F};
    const std::vector<std::int32_t> table_{2, 0, 3};
    Matrix kv_;
    Matrix queries_;
    PagedCache cache_;
};

TEST_F(GroupedAttention, MatchesDoublePrecision) {
    const Matrix out = attend(all());
    for (std::int64_t r = 0; r < kTokens; ++r) {
        for (std::int64_t head = 0; head < 6; ++head) {
            for (std::int64_t c = 0; c < 10; ++c) {
                ASSERT_NEAR(out.at(r, head * 10 + c), exact(r, head, c), 2e-6) << r;
            }
        }
    }
}

TEST_F(GroupedAttention, ARowHasTheSameBitsInAnySlice) {
    const Matrix whole = attend(all());
    const Matrix parts = attend({{0, 70, 0, table_}, {70, 1, 70, table_}, {71, 79, 71, table_}});
    EXPECT_EQ(whole.values, parts.values);
}

}  // namespace
}  // namespace turnpike::kernels::reference
