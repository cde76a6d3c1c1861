// What a gateway has in hand, counted from entering to leaving.
#include "gateway/policy/load_board.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace turnpike::gateway {
namespace {

using namespace std::chrono_literals;

const EndpointId kEndpoint("endpoint-1");
const SteadyTime kNow{1h};

TEST(LoadBoard, CountsWhatIsInHandAndForgetsTheRest) {
    LoadBoard board;
    EXPECT_TRUE(board.rows(kNow).empty());
    {
        auto first = board.enter(kEndpoint, kNow - 3s, true);
        const auto second = board.enter(kEndpoint, kNow - 2s, true);
        const auto third = board.enter(kEndpoint, kNow - 9s, false);
        auto rows = board.rows(kNow);
        ASSERT_EQ(rows.size(), 1U);
        EXPECT_EQ(rows[0].endpoint, kEndpoint);
        EXPECT_EQ(rows[0].num_queued, 2);
        EXPECT_EQ(rows[0].num_in_flight, 1);
        EXPECT_EQ(rows[0].wait, 3s);
        first.begin();
        first.begin();
        rows = board.rows(kNow);
        EXPECT_EQ(rows[0].num_queued, 1);
        EXPECT_EQ(rows[0].num_in_flight, 2);
        EXPECT_EQ(rows[0].wait, 2s);
    }
    EXPECT_TRUE(board.rows(kNow).empty());
}

TEST(LoadBoard, AMovedTicketCountsOnce) {
    LoadBoard board;
    std::optional<LoadBoard::Ticket> kept;
    {
        auto ticket = board.enter(kEndpoint, kNow, false);
        kept.emplace(std::move(ticket));
    }
    EXPECT_EQ(board.rows(kNow).front().num_in_flight, 1);
    kept.reset();
    EXPECT_TRUE(board.rows(kNow).empty());
}

TEST(LoadBoard, ARequestThatWaitsEndsTheReportersSleep) {
    LoadBoard board;
    std::thread reporter([&] { board.wait_for_queued(1h); });
    const auto ticket = board.enter(kEndpoint, kNow, true);
    reporter.join();
    EXPECT_EQ(board.rows(kNow).front().num_queued, 1);
}

}  // namespace
}  // namespace turnpike::gateway
