// When systemd's watchdog is fed: an engine that gets on is, one that hangs is not. Time is a
// number.
#include "engine/serve/systemd_notifier.h"

#include <gtest/gtest.h>

#include "tests/unit/engine/serve/moments.h"

namespace turnpike::engine {
namespace {

using namespace std::chrono_literals;

// Asks each second from `from` to before `to`, with one load; the last second that was fed, or -1.
int last_fed(FeedingRule& rule, int from, int to, const Load& load) {
    int last = -1;
    for (int second = from; second < to; ++second) {
        if (!rule.is_due(at(second), load)) continue;
        rule.fed(at(second));
        last = second;
    }
    return last;
}

TEST(FeedingRule, AnIdleEngineIsFedEachThird) {
    FeedingRule rule(90s);
    int num_fed = 0;
    for (int second = 0; second < 900; ++second) {
        if (!rule.is_due(at(second), load_of(0, 0, 7))) continue;
        rule.fed(at(second));
        ++num_fed;
    }
    EXPECT_EQ(num_fed, 30);
}

TEST(FeedingRule, AFeedingThatWasNotSentIsStillDue) {
    FeedingRule rule(90s);
    EXPECT_TRUE(rule.is_due(at(1), {}));
    EXPECT_TRUE(rule.is_due(at(2), {}));
    rule.fed(at(2));
    EXPECT_FALSE(rule.is_due(at(3), {}));
}

TEST(FeedingRule, AnEngineThatHangsIsNotFed) {
    FeedingRule rule(90s);
    last_fed(rule, 0, 100, load_of(0, 0, 7));
    const int last = last_fed(rule, 100, 1000, load_of(1, 0, 7));
    EXPECT_GE(last, 100 - 30);
    EXPECT_LE(last, 100 + 30);
    EXPECT_EQ(last_fed(rule, 1000, 1010, load_of(0, 2, 7)), -1);
    EXPECT_EQ(last_fed(rule, 1010, 1011, load_of(1, 0, 8)), 1010);
}

TEST(FeedingRule, ASlowStepIsFedInTime) {
    FeedingRule rule(90s);
    last_fed(rule, 0, 100, load_of(1, 0, 7));
    std::int64_t steps = 7;
    int last = last_fed(rule, 100, 101, load_of(1, 0, ++steps));
    ASSERT_EQ(last, 100);
    for (int from = 101; from < 2000; from += 85) {
        const int fed = last_fed(rule, from, from + 85, load_of(1, 0, ++steps));
        ASSERT_GE(fed, 0);
        EXPECT_LT(from - last, 90);
        last = fed;
    }
}

TEST(FeedingRule, WithoutAPeriodItIsNeverDue) {
    FeedingRule rule(0us);
    EXPECT_EQ(last_fed(rule, 0, 1000, {}), -1);
    FeedingRule short_one(1us);
    EXPECT_EQ(last_fed(short_one, 0, 1, {}), 0);
}

}  // namespace
}  // namespace turnpike::engine
