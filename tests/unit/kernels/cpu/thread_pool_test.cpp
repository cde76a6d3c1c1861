// ThreadPool: every item once, whatever the number of threads.
#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace turnpike::kernels {
namespace {

TEST(ThreadPool, RunsEveryItemOnce) {
    for (const int num_threads : {1, 2, 5}) {
        ThreadPool threads(num_threads);
        EXPECT_EQ(threads.num_threads(), num_threads);
        for (const std::int64_t count : {0, 1, 2, 3, 100}) {
            std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
            threads.run(count, ThreadPool::kMinWork, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
            });
            for (const auto& run : runs) EXPECT_EQ(run.load(), 1);
        }
    }
}

// A share that is much larger than the others is finished by all.
TEST(ThreadPool, UnevenSharesRunEveryItemOnce) {
    for (const int num_threads : {2, 3, 8}) {
        ThreadPool threads(num_threads);
        for (const std::int64_t count : {2, 7, 1000}) {
            std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
            std::atomic<std::int64_t> highest_thread = 0;
            const auto begin_of = [&](std::int64_t part, std::int64_t parts) {
                return part == 0 ? 0 : part == parts ? count : count - 1;
            };
            threads.run_shares(
                count, ThreadPool::kMinWork, begin_of,
                [&](std::int64_t thread, std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
                    std::int64_t seen = highest_thread.load();
                    while (seen < thread && !highest_thread.compare_exchange_weak(seen, thread)) {
                    }
                });
            for (const auto& run : runs) EXPECT_EQ(run.load(), 1);
            EXPECT_LT(highest_thread.load(), num_threads);
        }
    }
}

TEST(ThreadPool, SmallLoopsStayOnTheCaller) {
    ThreadPool threads(4);
    std::vector<std::thread::id> ids;
    threads.run(10, 1,
                [&](std::int64_t, std::int64_t) { ids.push_back(std::this_thread::get_id()); });
    ASSERT_EQ(ids.size(), 1U);
    EXPECT_EQ(ids.front(), std::this_thread::get_id());
}

TEST(ThreadPool, ManyRoundsInARow) {
    ThreadPool threads(3);
    std::atomic<std::int64_t> total = 0;
    for (int round = 0; round < 2000; ++round) {
        threads.run(3, ThreadPool::kMinWork,
                    [&](std::int64_t begin, std::int64_t end) { total += end - begin; });
    }
    EXPECT_EQ(total.load(), 6000);
}

}  // namespace
}  // namespace turnpike::kernels
