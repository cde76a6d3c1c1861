// A failpoint counts over processes, kills at the pass that was asked for, and is nothing at all
// until a file is named.
#include "config/base/failpoint.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "tests/support/temp_dir.h"

namespace turnpike {
namespace {

struct Counts {
    char name[40];
    std::uint64_t num_passes;
    std::uint64_t num_kills;
    std::int64_t armed;
};

class FailpointTest : public testing::Test {
  protected:
    // How a process ends that opens the failpoints and then does `work`.
    int run(const std::function<void()>& work) const {
        const pid_t pid = ::fork();
        if (pid == 0) {
            if (!open_failpoints(path_)) ::_exit(2);
            work();
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(pid, &status, 0);
        return status;
    }

    Counts counts_of(Failpoint point) const {
        std::ifstream file(path_, std::ios::binary);
        Counts counts{};
        file.seekg(static_cast<std::streamoff>(static_cast<std::size_t>(point) * sizeof counts));
        file.read(reinterpret_cast<char*>(&counts), sizeof counts);
        EXPECT_TRUE(file.good());
        return counts;
    }

    void arm(Failpoint point, std::int64_t pass) const {
        std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
        const std::size_t offset =
            static_cast<std::size_t>(point) * sizeof(Counts) + offsetof(Counts, armed);
        file.seekp(static_cast<std::streamoff>(offset));
        file.write(reinterpret_cast<const char*>(&pass), sizeof pass);
        ASSERT_TRUE(file.flush().good());
    }

    test::TempDir dir_;
    const std::string path_ = (dir_.path() / "failpoints").string();
};

TEST_F(FailpointTest, CountsThePassesOfAllProcesses) {
    const auto work = [] {
        pass_failpoint(Failpoint::kUsagePosting);
        pass_failpoint(Failpoint::kMeterClosed);
    };
    EXPECT_EQ(run(work), 0);
    EXPECT_EQ(run(work), 0);
    EXPECT_EQ(counts_of(Failpoint::kUsagePosting).num_passes, 2U);
    EXPECT_EQ(counts_of(Failpoint::kMeterClosed).num_passes, 2U);
    EXPECT_EQ(counts_of(Failpoint::kUsagePosted).num_passes, 0U);
    EXPECT_STREQ(counts_of(Failpoint::kUsagePosting).name, "controlplane.usage_posting");
}

TEST_F(FailpointTest, KillsAtTheArmedPassAndOnce) {
    const auto pass_thrice = [] {
        for (int i = 0; i < 3; ++i) pass_failpoint(Failpoint::kRequestOpened);
    };
    EXPECT_EQ(run([] {}), 0);
    arm(Failpoint::kRequestOpened, 2);
    const int status = run(pass_thrice);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    EXPECT_EQ(counts_of(Failpoint::kRequestOpened).num_passes, 2U);
    EXPECT_EQ(counts_of(Failpoint::kRequestOpened).num_kills, 1U);
    EXPECT_EQ(run(pass_thrice), 0);
    EXPECT_EQ(counts_of(Failpoint::kRequestOpened).num_passes, 5U);
}

TEST_F(FailpointTest, AHandlerIsCalledInsteadUntilItIsTakenAway) {
    static int num_calls = 0;
    handle_failpoints(
        [](Failpoint point) { num_calls += point == Failpoint::kStepBegun ? 1 : 100; });
    pass_failpoint(Failpoint::kStepBegun);
    handle_failpoints(nullptr);
    pass_failpoint(Failpoint::kStepBegun);
    EXPECT_EQ(num_calls, 1);
}

TEST_F(FailpointTest, EveryPointHasANameOfItsOwn) {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Failpoint::kNumFailpoints); ++i)
        EXPECT_TRUE(names.insert(to_string(static_cast<Failpoint>(i))).second);
}

TEST_F(FailpointTest, AFileThatCannotBeMadeIsAnError) {
    const Status status = open_failpoints((dir_.path() / "missing/failpoints").string());
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find("cannot open the failpoints"), std::string::npos);
}

}  // namespace
}  // namespace turnpike
