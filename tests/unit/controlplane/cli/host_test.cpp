// Running a program to its end, and asking this host.
#include "controlplane/cli/host.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace turnpike::controlplane::cli {
namespace {

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
