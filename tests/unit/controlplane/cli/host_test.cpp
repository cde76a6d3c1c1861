// Running a program to its end, and asking this host.
#include "controlplane/cli/host.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace turnpike::controlplane::cli {
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

TEST(RunProgram, KeepsAtMostAMebibyteAndReadsTheRest) {
    const auto run = shell("head -c 3000000 /dev/zero; echo done >&2");
    ASSERT_TRUE(run.has_value());
    EXPECT_EQ(run->out.size(), std::size_t{1} << 20);
    EXPECT_EQ(run->error, "done\n");
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

TEST(Host, TellsWhatItHas) {
    const test::TempDir dir;
    const auto space = read_space(dir.path().string());
    ASSERT_TRUE(space.has_value());
    EXPECT_GT(space->total_bytes, 0);
    EXPECT_GE(space->total_bytes, space->free_bytes);
    EXPECT_FALSE(read_space(dir.file("absent")).has_value());
    const auto limits = read_open_file_limits();
    ASSERT_TRUE(limits.has_value());
    EXPECT_GT(limits->soft, 0);
    EXPECT_GE(limits->hard, limits->soft);
    EXPECT_TRUE(may_write_folder(dir.path().string()));
    EXPECT_FALSE(may_write_folder(dir.file("absent")));
    EXPECT_TRUE(may_execute("/bin/sh"));
    EXPECT_FALSE(may_execute("/dev/null"));
}

}  // namespace
}  // namespace turnpike::controlplane::cli
