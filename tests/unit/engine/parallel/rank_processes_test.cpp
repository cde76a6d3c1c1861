// Children that are started, found to have ended, and never outlive their owner.
#include "engine/parallel/rank_processes.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>

#include "engine/parallel/shm_region.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {
namespace {

std::vector<std::string> shell(const std::string& script) {
    return {"/bin/sh", "-c", script, "rank"};
}

TEST(RankProcesses, EachFindsItsNumberAndTheMemory) {
    const test::TempDir dir;
    const auto memory = ShmRegion::create(3, 4096);
    ASSERT_TRUE(memory);
    {
        const auto ranks = RankProcesses::start(
            shell("readlink /proc/self/fd/3 > " + dir.file("of") + "$1"), 3, memory->get());
        ASSERT_TRUE(ranks);
        EXPECT_EQ((*ranks)->pids().size(), 2U);
    }  // waits for them
    for (const char* rank : {"1", "2"}) {
        std::string target;
        std::getline(std::ifstream(dir.file("of") + rank), target);
        EXPECT_EQ(target.find("/memfd:turnpike-ranks"), 0U) << target;
    }
}

TEST(RankProcesses, OneThatEndedIsNamed) {
    const auto memory = ShmRegion::create(3, 4096);
    ASSERT_TRUE(memory);
    // Rank 2 ends at once, rank 1 never.
    const auto ranks =
        RankProcesses::start(shell("[ $1 = 2 ] || exec tail -f /dev/null"), 3, memory->get());
    ASSERT_TRUE(ranks);
    Status status;
    while ((status = (*ranks)->check())) ::sched_yield();
    EXPECT_EQ(status.error().message.find("rank 2 (process "), 0U) << status.error().message;
    ::kill((*ranks)->pids()[0], SIGKILL);
}

TEST(RankProcesses, AProgramThatIsNotThereIsAnError) {
    const auto memory = ShmRegion::create(2, 4096);
    ASSERT_TRUE(memory);
    const auto ranks = RankProcesses::start({"/no/such/program"}, 2, memory->get());
    ASSERT_FALSE(ranks);
    EXPECT_EQ(ranks.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace turnpike::engine
