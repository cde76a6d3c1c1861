// What is noticed over time: an engine that hangs, and how fast it is. Time is a number here.
#include "engine/serve/watchdog.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "engine/serve/ticker.h"
#include "engine/serve/token_rate.h"
#include "tests/unit/engine/serve/moments.h"

namespace turnpike::engine {
namespace {

using namespace std::chrono_literals;

TEST(Watchdog, AnIdleEngineIsHealthyForEver) {
    Watchdog watchdog(60s);
    for (int hour = 0; hour < 48; ++hour)
        EXPECT_FALSE(watchdog.observe(at(3600 * hour), load_of(0, 0, 7)));
    // The time that it idled is not held against its next step.
    EXPECT_FALSE(watchdog.observe(at(3600 * 48), load_of(1, 0, 7)));
    EXPECT_FALSE(watchdog.observe(at(3600 * 48 + 60), load_of(1, 0, 7)));
}

TEST(Watchdog, WorkWithoutAStepIsNoticedAfterTheLimit) {
    Watchdog watchdog(60s);
    EXPECT_FALSE(watchdog.observe(at(0), load_of(0, 0, 5)));
    EXPECT_FALSE(watchdog.observe(at(10), load_of(2, 3, 5)));
    EXPECT_FALSE(watchdog.observe(at(70), load_of(2, 3, 5)));
    const auto reason = watchdog.observe(at(71), load_of(2, 3, 5));
    ASSERT_TRUE(reason);
    EXPECT_NE(reason->find("61 s with 2 sequences running and 3 waiting"), std::string::npos)
        << *reason;
}

TEST(Watchdog, SlowStepsAreProgressAndAQueueIsWork) {
    Watchdog watchdog(60s);
    std::int64_t steps = 0;
    for (int now = 0; now < 3000; now += 50)
        EXPECT_FALSE(watchdog.observe(at(now), load_of(1, 0, ++steps)));
    EXPECT_FALSE(watchdog.observe(at(3001), load_of(0, 1, steps)));
    EXPECT_TRUE(watchdog.observe(at(3200), load_of(0, 1, steps)));
}

TEST(Watchdog, ZeroMeansNever) {
    Watchdog watchdog(0s);
    EXPECT_FALSE(watchdog.observe(at(0), load_of(1, 0, 0)));
    EXPECT_FALSE(watchdog.observe(at(1 << 30), load_of(1, 0, 0)));
}

TEST(TokenRate, IsTheMeanOfTheLastTenSeconds) {
    TokenRate rate;
    EXPECT_EQ(rate.sample(at(100), 1000), 0.0);
    EXPECT_EQ(rate.sample(at(102), 1050), 25.0);
    double now = 0.0;
    for (int second = 103; second <= 130; ++second) now = rate.sample(at(second), 1000);
    EXPECT_EQ(now, 0.0);
    for (int second = 131; second <= 135; ++second) now = rate.sample(at(second), 1000 + 20);
    EXPECT_EQ(now, 2.0);
}

TEST(Ticker, CallsUntilItIsStopped) {
    std::promise<void> thrice;
    std::atomic<int> count{0};
    Ticker ticker(1ms, [&] {
        if (++count == 3) thrice.set_value();
    });
    thrice.get_future().wait();
    ticker.stop();
    const int last = count;
    EXPECT_GE(last, 3);
    ticker.stop();
    EXPECT_EQ(count, last);
}

}  // namespace
}  // namespace turnpike::engine
