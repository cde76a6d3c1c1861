// Times: microseconds and RFC 3339 texts agree, and the fake clock moves only when told.
#include "config/base/clock.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace turnpike {
namespace {

TEST(Clock, FormatsRfc3339InUtcWithMilliseconds) {
    EXPECT_EQ(format_rfc3339(from_unix_us(0)), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(format_rfc3339(from_unix_us(951'782'400'001'999)), "2000-02-29T00:00:00.001Z");
    EXPECT_EQ(format_rfc3339(from_unix_us(1'767'225'599'999'999)), "2025-12-31T23:59:59.999Z");
}

TEST(Clock, MicrosecondsRoundTrip) {
    for (const std::int64_t unix_us : {0LL, 1LL, -1LL, 1'767'225'599'999'999LL})
        EXPECT_EQ(to_unix_us(from_unix_us(unix_us)), unix_us);
}

TEST(Clock, SteadyTimeNeverGoesBack) {
    const SystemClock clock;
    const SteadyTime first = clock.steady_now();
    EXPECT_GE(clock.steady_now(), first);
}

TEST(FakeClock, MovesOnlyWhenTold) {
    test::FakeClock clock(0);
    const SteadyTime start = clock.steady_now();
    clock.advance(std::chrono::seconds(2));
    EXPECT_EQ(to_unix_us(clock.wall_now()), 2'000'000);
    EXPECT_EQ(clock.steady_now() - start, std::chrono::seconds(2));
    clock.step_wall(std::chrono::seconds(-1));
    EXPECT_EQ(to_unix_us(clock.wall_now()), 1'000'000);
    EXPECT_EQ(clock.steady_now() - start, std::chrono::seconds(2));
}

}  // namespace
}  // namespace turnpike
