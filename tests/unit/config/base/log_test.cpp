// Log: one line per event whatever the values hold, and nothing below the threshold.
#include "config/base/log.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/fake_clock.h"

namespace turnpike {
namespace {

std::string line_with(const std::string& value) {
    const test::FakeClock clock;
    Log log(clock, "test");
    testing::internal::CaptureStderr();
    log.info("request_finished", {{"field", value}, {"count", 3}});
    return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesTimeLevelEventAndFields) {
    const std::string line = line_with("plain");
    EXPECT_TRUE(line.starts_with("time=2026-01-01T00:00:00.000Z level=info")) << line;
    EXPECT_NE(line.find("request_finished"), std::string::npos) << line;
    EXPECT_TRUE(line.ends_with("field=plain count=3\n")) << line;
}

TEST(Log, AHostileValueCannotForgeALine) {
    const std::string line = line_with("x\nlevel=error event=\"owned\"\x1b[31m");
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    EXPECT_NE(line.find(R"(field="x\x0alevel=error event=\"owned\"\x1b[31m")"), std::string::npos)
        << line;
}

TEST(Log, QuotesEmptyAndSpacedValues) {
    EXPECT_NE(line_with("").find("field=\"\""), std::string::npos);
    EXPECT_NE(line_with("a b").find("field=\"a b\""), std::string::npos);
}

TEST(Log, DropsWhatIsBelowTheThreshold) {
    const test::FakeClock clock;
    Log log(clock, "test", LogLevel::kWarning);
    testing::internal::CaptureStderr();
    log.info("ignored");
    log.warning("kept");
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(text.find("ignored"), std::string::npos);
    EXPECT_NE(text.find("kept"), std::string::npos);
}

}  // namespace
}  // namespace turnpike
