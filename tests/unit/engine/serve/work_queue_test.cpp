// Order, what stop() still runs, and what comes after it.
#include "engine/serve/work_queue.h"

#include <gtest/gtest.h>

#include <vector>

namespace turnpike::engine {
namespace {

TEST(WorkQueue, RunsInOrderAndStopRunsWhatIsQueued) {
    std::vector<int> order;
    WorkQueue queue;
    for (int i = 0; i < 1000; ++i) queue.push([&order, i] { order.push_back(i); });
    queue.stop();
    ASSERT_EQ(order.size(), 1000U);
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(WorkQueue, ATaskMayPushAnotherWhileStopping) {
    bool has_run = false;
    WorkQueue queue;
    queue.push([&] { queue.push([&] { has_run = true; }); });
    queue.stop();
    EXPECT_TRUE(has_run);
}

TEST(WorkQueue, WhatComesAfterTheStopIsDropped) {
    WorkQueue queue;
    queue.stop();
    bool has_run = false;
    queue.push([&] { has_run = true; });
    queue.stop();
    EXPECT_FALSE(has_run);
}

}  // namespace
}  // namespace turnpike::engine
