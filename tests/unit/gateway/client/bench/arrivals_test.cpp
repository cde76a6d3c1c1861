// Rate, burstiness, and repeatability.
#include "gateway/client/bench/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/client/bench/statistics.h"

namespace turnpike::gateway::client::bench {
namespace {

// Standard deviation of the intervals over their mean: 1 / sqrt(burstiness) for a gamma process.
double variation(const std::vector<double>& times) {
    std::vector<double> intervals;
    for (std::size_t i = 1; i < times.size(); ++i) intervals.push_back(times[i] - times[i - 1]);
    const Distribution numbers = describe(intervals, {});
    return numbers.standard_deviation / numbers.mean;
}

TEST(Arrivals, WithoutARateAreAllAtOnce) {
    EXPECT_EQ(arrivals(3, {}), (std::vector<double>{0, 0, 0}));
    EXPECT_TRUE(arrivals(0, {}).empty());
}

TEST(Arrivals, KeepTheRate) {
    const auto times = arrivals(20'000, {50.0, 1.0, 7});
    EXPECT_EQ(times.front(), 0);
    EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
    EXPECT_NEAR(times.back(), 400, 12);  // four standard deviations
}

TEST(Arrivals, FollowTheBurstiness) {
    EXPECT_NEAR(variation(arrivals(20'000, {50.0, 1.0, 7})), 1.0, 0.05);
    EXPECT_NEAR(variation(arrivals(20'000, {50.0, 4.0, 7})), 0.5, 0.03);
    EXPECT_NEAR(variation(arrivals(20'000, {50.0, 0.25, 7})), 2.0, 0.2);
}

TEST(Arrivals, AreThoseOfTheirSeed) {
    EXPECT_EQ(arrivals(100, {5.0, 1.0, 1}), arrivals(100, {5.0, 1.0, 1}));
    EXPECT_NE(arrivals(100, {5.0, 1.0, 1}), arrivals(100, {5.0, 1.0, 2}));
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
