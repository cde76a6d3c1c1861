// How many leave, and when.
#include "gateway/client/bench/leaving.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace turnpike::gateway::client::bench {
namespace {

TEST(PlanLeaving, NobodyOrEverybody) {
    const std::vector<std::int64_t> lengths(100, 10);
    for (const auto& leave : plan_leaving(lengths, {0.0, true, false, 1})) EXPECT_FALSE(leave);
    for (const auto& leave : plan_leaving(lengths, {1.0, true, false, 1})) EXPECT_TRUE(leave);
}

TEST(PlanLeaving, SharesAndMoments) {
    const std::vector<std::int64_t> lengths(10'000, 10);
    int num_leaving = 0;
    int num_early = 0;
    std::vector<bool> seen(10, false);
    for (const auto& leave : plan_leaving(lengths, {0.4, true, false, 1})) {
        if (!leave) continue;
        ++num_leaving;
        if (leave->after_s) {
            ++num_early;
            EXPECT_EQ(leave->after_events, 0);
            EXPECT_GE(*leave->after_s, 0.0);
            EXPECT_LT(*leave->after_s, 0.05);
        } else {
            ASSERT_GE(leave->after_events, 1);
            ASSERT_LT(leave->after_events, 10);
            seen[static_cast<std::size_t>(leave->after_events)] = true;
        }
    }
    EXPECT_NEAR(num_leaving, 4'000, 200);
    EXPECT_NEAR(num_early, 1'000, 130);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 9);
}

TEST(PlanLeaving, OneTokenStillHasAMoment) {
    for (const auto& leave : plan_leaving(std::vector<std::int64_t>(100, 1), {1.0, true, false, 1}))
        EXPECT_TRUE(leave->after_s || leave->after_events == 1);
}

TEST(PlanLeaving, WithoutAStreamItIsByTime) {
    for (const auto& leave :
         plan_leaving(std::vector<std::int64_t>(100, 9), {1.0, false, false, 1}))
        EXPECT_TRUE(leave->after_s);
}

TEST(PlanLeaving, SomeLeaveBeforeTheyAreSentWhenAsked) {
    int num_early = 0;
    int num_in_part = 0;
    for (const auto& leave :
         plan_leaving(std::vector<std::int64_t>(10'000, 9), {1.0, true, true, 1})) {
        ASSERT_TRUE(leave);
        num_in_part += leave->part_sent < 1.0 ? 1 : 0;
        if (!leave->after_start_s) continue;
        ++num_early;
        EXPECT_FALSE(leave->after_s);
        EXPECT_LT(*leave->after_start_s, 0.01);
        EXPECT_EQ(leave->part_sent, 1.0);
    }
    EXPECT_NEAR(num_early, 625, 100);
    EXPECT_NEAR(num_in_part, 625, 100);
}

// More leave at a higher share, and those who left before still do at the same moment.
TEST(PlanLeaving, GrowsWithTheShare) {
    const std::vector<std::int64_t> lengths(1'000, 10);
    const auto some = plan_leaving(lengths, {0.2, true, false, 3});
    const auto more = plan_leaving(lengths, {0.6, true, false, 3});
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        if (!some[i]) continue;
        ASSERT_TRUE(more[i]);
        EXPECT_EQ(some[i]->after_events, more[i]->after_events);
    }
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
