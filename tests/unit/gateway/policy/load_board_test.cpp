// What a gateway had in hand between two reports, counted from entering to leaving.
#include "gateway/policy/load_board.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "tests/support/fake_clock.h"

namespace turnpike::gateway {
namespace {

using namespace std::chrono_literals;

const EndpointId kEndpoint("endpoint-1");

class LoadBoardTest : public testing::Test {
  protected:
    test::FakeClock clock_;
    LoadBoard board_{clock_};
};

TEST_F(LoadBoardTest, CountsWhatIsInHandAndForgetsTheRest) {
    EXPECT_TRUE(board_.take_rows().empty());
    {
        auto first = board_.enter(kEndpoint, true);
        clock_.advance(1s);
        const auto second = board_.enter(kEndpoint, true);
        const auto third = board_.enter(kEndpoint, false);
        clock_.advance(2s);
        auto rows = board_.take_rows();
        ASSERT_EQ(rows.size(), 1U);
        EXPECT_EQ(rows[0].endpoint, kEndpoint);
        EXPECT_EQ(rows[0].num_queued, 2);
        EXPECT_EQ(rows[0].num_in_flight, 1);
        EXPECT_EQ(rows[0].num_arrived, 3);
        EXPECT_EQ(rows[0].wait, 3s);
        first.begin();
        first.begin();
        rows = board_.take_rows();
        EXPECT_EQ(rows[0].num_queued, 1);
        EXPECT_EQ(rows[0].num_in_flight, 2);
        EXPECT_EQ(rows[0].num_arrived, 0);
        EXPECT_EQ(rows[0].wait, 2s);
    }
    board_.take_rows();
    EXPECT_TRUE(board_.take_rows().empty());
}

TEST_F(LoadBoardTest, TheMeanIsOfTheTimeSinceTheRowsBefore) {
    std::optional<LoadBoard::Ticket> first = board_.enter(kEndpoint, false);
    clock_.advance(250ms);
    std::optional<LoadBoard::Ticket> second = board_.enter(kEndpoint, false);
    clock_.advance(250ms);
    first.reset();
    clock_.advance(500ms);
    EXPECT_DOUBLE_EQ(board_.take_rows().front().mean_in_flight, 1.25);
    EXPECT_DOUBLE_EQ(board_.take_rows().front().mean_in_flight, 1.0) << "no time: the moment";
    clock_.advance(100ms);
    second.reset();
    clock_.advance(300ms);
    const auto rows = board_.take_rows();
    EXPECT_DOUBLE_EQ(rows.front().mean_in_flight, 0.25) << "it left, and is told of once more";
    EXPECT_EQ(rows.front().num_in_flight, 0);
    EXPECT_TRUE(board_.take_rows().empty());
}

TEST_F(LoadBoardTest, OneThatWaitedIsInFlightFromItsReplicaOn) {
    auto ticket = board_.enter(kEndpoint, true);
    clock_.advance(600ms);
    ticket.begin();
    clock_.advance(400ms);
    EXPECT_DOUBLE_EQ(board_.take_rows().front().mean_in_flight, 0.4);
}

TEST_F(LoadBoardTest, RequestsThatComeAndGoBetweenTwoReportsAreTold) {
    for (int i = 0; i < 10; ++i) {
        const auto ticket = board_.enter(kEndpoint, false);
        clock_.advance(3ms);
    }
    clock_.advance(970ms);
    const auto rows = board_.take_rows();
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].num_in_flight, 0);
    EXPECT_EQ(rows[0].num_arrived, 10);
    EXPECT_DOUBLE_EQ(rows[0].mean_in_flight, 0.03);
}

TEST_F(LoadBoardTest, AMovedTicketCountsOnce) {
    std::optional<LoadBoard::Ticket> kept;
    {
        auto ticket = board_.enter(kEndpoint, false);
        kept.emplace(std::move(ticket));
    }
    EXPECT_EQ(board_.take_rows().front().num_in_flight, 1);
    kept.reset();
    board_.take_rows();
    EXPECT_TRUE(board_.take_rows().empty());
}

TEST_F(LoadBoardTest, ARequestThatWaitsEndsTheReportersSleep) {
    std::thread reporter([&] { board_.wait_for_queued(1h); });
    const auto ticket = board_.enter(kEndpoint, true);
    reporter.join();
    EXPECT_EQ(board_.take_rows().front().num_queued, 1);
}

}  // namespace
}  // namespace turnpike::gateway
