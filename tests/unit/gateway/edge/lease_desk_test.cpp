// The desk of leases: what is held, refused, waited for and asked for.
#include "gateway/edge/lease_desk.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace turnpike::gateway {
namespace {

constexpr char kOrg[] = "organisation:org_a";
constexpr TokenCount kPrompt = 10;

class LeaseDeskTest : public testing::Test {
  protected:
    LeaseDeskTest() {
        terms_.price.input_nano_usd = NanoUsd(1);
        terms_.price.output_nano_usd = NanoUsd(1);
        terms_.max_output_tokens = 90;  // a hold is 100
    }

    LeaseDesk desk(NanoUsd unleased) { return LeaseDesk(clock_, {{}, unleased, 1'000'000'000}); }

    LeaseDesk::Answer begin(LeaseDesk& desk) { return desk.begin(kOrg, "", terms_, kPrompt); }

    // The control plane's answer to what the desk asks for.
    void grant(LeaseDesk& desk, std::int64_t granted) {
        const auto request = desk.next_request("gateway", true);
        ASSERT_TRUE(request.has_value());
        const bool is_short =
            !request->asks.empty() && request->asks.front().wanted > NanoUsd(granted);
        desk.apply({Epoch(1), 600'000, 250'000, {{kOrg, NanoUsd(granted), is_short}}}, desk.now());
    }

    test::FakeClock clock_;
    HoldTerms terms_;
};

TEST_F(LeaseDeskTest, WithoutALeaseARequestWaitsAndIsThenHeld) {
    LeaseDesk leases = desk(NanoUsd(0));
    const auto first = begin(leases);
    EXPECT_EQ(first.hold, nullptr);
    EXPECT_TRUE(first.must_wait);
    bool is_told = false;
    leases.when_answered([&] { is_told = true; });
    grant(leases, 150);
    EXPECT_TRUE(is_told);
    EXPECT_EQ(leases.share().ppm, 250'000);
    const auto second = begin(leases);
    ASSERT_NE(second.hold, nullptr);
    EXPECT_EQ(leases.num_holds(), 1U);
    // Short, and asked a moment ago: there is no credit. Later it is worth asking again.
    const auto third = begin(leases);
    EXPECT_EQ(third.hold, nullptr);
    EXPECT_FALSE(third.must_wait);
    clock_.advance(std::chrono::seconds(2));
    EXPECT_TRUE(begin(leases).must_wait);
}

TEST_F(LeaseDeskTest, AHoldEndsWithWhatItsRecordsCost) {
    LeaseDesk leases = desk(NanoUsd(0));
    (void)begin(leases);
    grant(leases, 150);
    auto held = begin(leases);
    ASSERT_NE(held.hold, nullptr);
    held.hold->note_usage({kPrompt, 0, 30, 0});  // 40
    held.hold.reset();
    EXPECT_EQ(leases.num_holds(), 0U);
    EXPECT_NE(begin(leases).hold, nullptr);  // 110 of 150 are left
}

TEST_F(LeaseDeskTest, WithoutRecordsAHoldCostsNothing) {
    LeaseDesk leases = desk(NanoUsd(0));
    (void)begin(leases);
    grant(leases, 100);
    for (int i = 0; i < 3; ++i) EXPECT_NE(begin(leases).hold, nullptr) << i;
}

TEST_F(LeaseDeskTest, TheAllowanceEndsWithTheFirstAnswer) {
    LeaseDesk leases = desk(NanoUsd(1000));
    EXPECT_NE(begin(leases).hold, nullptr);
    grant(leases, 0);
    const auto after = begin(leases);
    EXPECT_EQ(after.hold, nullptr);
    EXPECT_FALSE(after.must_wait);
}

TEST_F(LeaseDeskTest, AFencedDeskHoldsAndAsksNothing) {
    LeaseDesk leases = desk(NanoUsd(1000));
    leases.fence();
    const auto answer = begin(leases);
    EXPECT_TRUE(answer.is_fenced);
    EXPECT_EQ(answer.hold, nullptr);
    leases.wake();
    EXPECT_FALSE(leases.next_request("gateway", true).has_value());
    EXPECT_FALSE(leases.next_request("gateway", true).has_value());
}

// Epoch 0: what an earlier run held may be all that there is to give back.
TEST_F(LeaseDeskTest, AGatewayThatWasNeverAnsweredLeavesAsWell) {
    LeaseDesk leases = desk(NanoUsd(1000));
    (void)begin(leases);
    const auto request = leases.leave("gateway", true);
    ASSERT_TRUE(request.has_value());
    EXPECT_TRUE(request->is_leaving);
    EXPECT_EQ(request->epoch, Epoch(0));
    EXPECT_TRUE(request->asks.empty());
    leases.apply({Epoch(1), 600'000, 0, {}}, leases.now());
    const auto second = leases.leave("gateway", true);
    ASSERT_TRUE(second.has_value());
    EXPECT_EQ(second->epoch, Epoch(1));
    ASSERT_EQ(second->asks.size(), 1U);
    EXPECT_EQ(second->asks[0].wanted, NanoUsd());  // the allowance was not the control plane's
    EXPECT_EQ(second->asks[0].returned, NanoUsd());
}

TEST_F(LeaseDeskTest, WhoIsFencedHasNothingToGiveBack) {
    LeaseDesk leases = desk(NanoUsd(1000));
    (void)begin(leases);
    grant(leases, 300);
    const auto request = leases.leave("gateway", true);
    ASSERT_TRUE(request.has_value());
    EXPECT_TRUE(request->is_leaving);
    EXPECT_EQ(begin(leases).hold, nullptr);
    leases.fence();
    EXPECT_FALSE(leases.leave("gateway", true).has_value());
}

// A newcomer has no share before the others have given way, so it asks at a quicker pace.
TEST_F(LeaseDeskTest, WithoutAShareItAsksMoreOften) {
    LeaseDesk leases = desk(NanoUsd(0));
    const auto answer_with_share = [&](std::int64_t share_ppm) {
        ASSERT_TRUE(leases.next_request("gateway", true).has_value());
        leases.apply({Epoch(1), 600'000, share_ppm, {}}, leases.now());
    };
    answer_with_share(0);
    EXPECT_FALSE(leases.next_request("gateway", true).has_value());
    clock_.advance(std::chrono::milliseconds(100));
    answer_with_share(500'000);
    clock_.advance(std::chrono::milliseconds(900));
    EXPECT_FALSE(leases.next_request("gateway", true).has_value());
    clock_.advance(std::chrono::milliseconds(100));
    EXPECT_TRUE(leases.next_request("gateway", true).has_value());
}

// What is granted stays usable; what is not is waited for, not refused.
TEST_F(LeaseDeskTest, AnHourWithoutTheControlPlaneSpendsWhatIsGranted) {
    LeaseDesk leases = desk(NanoUsd(0));
    (void)begin(leases);
    const auto request = leases.next_request("gateway", true);
    ASSERT_TRUE(request.has_value());
    const std::int64_t day_ms = 24LL * 3600 * 1000;
    leases.apply({Epoch(1), day_ms, 250'000, {{kOrg, NanoUsd(250), false}}}, leases.now());
    clock_.advance(std::chrono::hours(1));
    auto first = begin(leases);
    ASSERT_NE(first.hold, nullptr);
    first.hold->note_usage({kPrompt, 0, 90, 0});
    first.hold.reset();
    EXPECT_NE(begin(leases).hold, nullptr);
    auto third = begin(leases).hold;
    EXPECT_NE(third, nullptr);
    const auto fourth = begin(leases);
    EXPECT_EQ(fourth.hold, nullptr);
    EXPECT_TRUE(fourth.must_wait);
    EXPECT_EQ(leases.share().ppm, 250'000);
    clock_.advance(std::chrono::hours(24));
    third.reset();
    EXPECT_EQ(begin(leases).hold, nullptr);
}

}  // namespace
}  // namespace turnpike::gateway
