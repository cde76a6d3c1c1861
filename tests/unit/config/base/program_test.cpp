// Running a program: its status, both streams, a bound, a time, and what it inherits.
#include "config/base/program.h"

#include <gtest/gtest.h>

#include <csignal>

namespace turnpike {
namespace {

using namespace std::chrono_literals;

Result<ProgramRun> shell(const std::string& script, std::chrono::milliseconds timeout = 60s) {
    return run_program({"sh", "-c", script}, timeout);
}

TEST(RunProgram, GivesStatusAndBothOutputs) {
    const auto run = shell("echo out; echo problem >&2; exit 7");
    ASSERT_TRUE(run.has_value()) << run.error().message;
    EXPECT_EQ(run->status, 7);
    EXPECT_EQ(run->out, "out\n");
    EXPECT_EQ(run->error, "problem\n");
}

TEST(RunProgram, HasNoInputAndArgumentsAsTheyAre) {
    const auto run = run_program({"sh", "-c", "cat; printf %s \"$1\"", "sh", "a b'c"}, 60s);
    ASSERT_TRUE(run.has_value());
    EXPECT_EQ(run->out, "a b'c");
}

TEST(RunProgram, TellsASignal) {
    const auto run = shell("kill -9 $$");
    ASSERT_TRUE(run.has_value());
    EXPECT_EQ(run->status, 128 + 9);
}

TEST(RunProgram, KeepsWhatIsInTheBoundAndReadsTheRest) {
    const auto run = shell("head -c 17000000 /dev/zero; echo done >&2");
    ASSERT_TRUE(run.has_value());
    EXPECT_EQ(run->out.size(), kMaxProgramOutputBytes);
    EXPECT_TRUE(run->is_cut);
    EXPECT_EQ(run->error, "done\n");
    EXPECT_FALSE(shell("head -c 3000000 /dev/zero")->is_cut);
}

TEST(RunProgram, HearsSignalsThatThisThreadBlocks) {
    sigset_t term;
    sigset_t before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &term, &before), 0);
    const auto run = shell("kill -TERM $$; echo deaf");
    ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
    ASSERT_TRUE(run.has_value());
    EXPECT_EQ(run->status, 128 + SIGTERM);
}

TEST(RunProgram, EndsWhatTakesTooLong) {
    const auto run = shell("exec cat /dev/zero >/dev/null", 50ms);
    ASSERT_FALSE(run.has_value());
    EXPECT_EQ(run.error().code, ErrorCode::kTimeout);
}

TEST(RunProgram, TellsWhereThereIsNoProgram) {
    EXPECT_EQ(run_program({"no-such-program-here"}, 60s).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(run_program({"/dev/null"}, 60s).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace turnpike
