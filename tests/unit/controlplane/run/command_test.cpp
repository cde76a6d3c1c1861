// Asking a program of the system: what it said, how it failed, and when it does not end.
#include "controlplane/run/command.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;

Result<std::string> shell(const char* script, std::chrono::milliseconds timeout = 10s) {
    return run_command({"sh", "-c", script}, timeout);
}

TEST(Command, GivesItsOutputWholeOrNotAtAll) {
    const auto output = shell("echo out; echo err >&2; head -c 300000 /dev/zero");
    ASSERT_TRUE(output) << output.error().message;
    EXPECT_EQ(output->size(), 300'004U);
    EXPECT_EQ(shell("head -c 17000000 /dev/zero").error().code, ErrorCode::kTooLarge);
}

TEST(Command, FailsWithTheLastLineOfItsErrors) {
    const auto output = shell("echo first >&2; echo 'sbatch: error: invalid gres' >&2; exit 3");
    ASSERT_FALSE(output);
    EXPECT_EQ(output.error().code, ErrorCode::kIo);
    EXPECT_EQ(output.error().message, "sh: exit status 3: sbatch: error: invalid gres");
    EXPECT_EQ(shell("kill -9 $$").error().message, "sh: signal 9: ");
}

TEST(Command, IsKilledWhenItsTimeIsOver) {
    const auto output = shell("exec sleep 1000", 50ms);
    ASSERT_FALSE(output);
    EXPECT_EQ(output.error().code, ErrorCode::kTimeout);
}

TEST(Command, AProgramThatIsNotThereIsAnError) {
    const auto output = run_command({"no-such-program-of-turnpike"}, 1s);
    ASSERT_FALSE(output);
    EXPECT_EQ(output.error().code, ErrorCode::kNotFound);
    EXPECT_NE(output.error().message.find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace turnpike::controlplane
