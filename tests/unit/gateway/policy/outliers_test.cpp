// Ejected after some failures in a row, tried once, back or away for longer.
#include "gateway/policy/outliers.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

using State = Outliers::State;
using namespace std::chrono_literals;

const ReplicaId kReplica("r");
const SteadyTime kBegin{1h};

Outliers failed(int times, SteadyTime now = kBegin) {
    Outliers outliers;
    for (int i = 0; i < times; ++i) outliers.note_failure(kReplica, now);
    return outliers;
}

TEST(Outliers, SomeFailuresInARowEject) {
    EXPECT_EQ(Outliers().state(kReplica, kBegin), State::kUsable);
    EXPECT_EQ(failed(2).state(kReplica, kBegin), State::kUsable);
    EXPECT_EQ(failed(3).state(kReplica, kBegin), State::kEjected);
    EXPECT_EQ(failed(3).state(ReplicaId("other"), kBegin), State::kUsable);
    Outliers between = failed(2);
    between.note_success(kReplica);
    between.note_failure(kReplica, kBegin);
    EXPECT_EQ(between.state(kReplica, kBegin), State::kUsable);
}

TEST(Outliers, OneRequestTriesAndDecides) {
    Outliers outliers = failed(3);
    EXPECT_EQ(outliers.state(kReplica, kBegin + 999ms), State::kEjected);
    const SteadyTime later = kBegin + 1s;
    EXPECT_EQ(outliers.state(kReplica, later), State::kHalfOpen);
    outliers.begin(kReplica, later);
    EXPECT_EQ(outliers.state(kReplica, later), State::kEjected) << "one is there";
    Outliers failed_again = outliers;
    failed_again.note_failure(kReplica, later);
    EXPECT_EQ(failed_again.state(kReplica, later + 1'999ms), State::kEjected);
    EXPECT_EQ(failed_again.state(kReplica, later + 2s), State::kHalfOpen);
    outliers.note_success(kReplica);
    EXPECT_EQ(outliers.state(kReplica, later), State::kUsable);
}

TEST(Outliers, ATryThatIsNeverHeardOfDoesNotBlockForever) {
    Outliers outliers = failed(3);
    outliers.begin(kReplica, kBegin + 1s);
    EXPECT_EQ(outliers.state(kReplica, kBegin + 2s), State::kHalfOpen);
}

TEST(Outliers, TheTimeGrowsToABound) {
    Outliers outliers = failed(50);
    EXPECT_EQ(outliers.state(kReplica, kBegin + Outliers::kLongestTime - 1ms), State::kEjected);
    EXPECT_EQ(outliers.state(kReplica, kBegin + Outliers::kLongestTime), State::kHalfOpen);
}

}  // namespace
}  // namespace turnpike::gateway
