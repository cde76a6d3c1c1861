// Against numbers worked out by hand.
#include "gateway/client/bench/statistics.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace turnpike::gateway::client::bench {
namespace {

TEST(Percentile, IsLinearBetweenRanks) {
    const std::array<double, 5> values{10, 20, 30, 40, 50};
    EXPECT_DOUBLE_EQ(percentile(values, 0), 10);
    EXPECT_DOUBLE_EQ(percentile(values, 50), 30);
    EXPECT_DOUBLE_EQ(percentile(values, 90), 46);  // rank 3.6
    EXPECT_DOUBLE_EQ(percentile(values, 99), 49.6);
    EXPECT_DOUBLE_EQ(percentile(values, 100), 50);
}

TEST(Percentile, OfOneValueIsThatValue) {
    const std::array<double, 1> values{7};
    for (const double percent : {0.0, 50.0, 99.9, 100.0})
        EXPECT_DOUBLE_EQ(percentile(values, percent), 7);
}

TEST(Describe, WorksOnValuesInAnyOrder) {
    const std::array<double, 2> percents{25, 99.9};
    const Distribution numbers = describe({4, 1, 3, 2}, percents);
    EXPECT_EQ(numbers.count, 4);
    EXPECT_DOUBLE_EQ(numbers.mean, 2.5);
    EXPECT_DOUBLE_EQ(numbers.median, 2.5);
    EXPECT_DOUBLE_EQ(numbers.standard_deviation, std::sqrt(1.25));
    EXPECT_DOUBLE_EQ(numbers.min, 1);
    EXPECT_DOUBLE_EQ(numbers.max, 4);
    ASSERT_EQ(numbers.percentiles.size(), 2U);
    EXPECT_DOUBLE_EQ(numbers.percentiles[0].second, 1.75);
    EXPECT_DOUBLE_EQ(numbers.percentiles[1].second, 3.997);
}

TEST(Describe, OfNothingIsNothing) {
    const std::array<double, 1> percents{99};
    const Distribution numbers = describe({}, percents);
    EXPECT_EQ(numbers.count, 0);
    EXPECT_TRUE(numbers.percentiles.empty());
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
