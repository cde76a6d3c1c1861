// The gateway's side of leases.
#include "gateway/policy/lease_book.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

using controlplane::LeaseAnswer;
using controlplane::LeaseAsk;
using controlplane::LeaseRequest;

constexpr char kOrg[] = "organisation:a";
constexpr Nanos kSecond = 1'000'000'000;

class LeaseBookTest : public testing::Test {
  protected:
    LeaseBookTest() : book_(LeaseBookOptions{NanoUsd(100), 60 * kSecond, 0}) {}

    LeaseAsk ask(Nanos now) { return book_.next_request("g", true, now).asks.at(0); }

    void answer(std::int64_t granted, Nanos sent_at, bool is_short = false) {
        book_.apply(LeaseAnswer{Epoch(4), 600'000, 250'000, {{kOrg, NanoUsd(granted), is_short}}},
                    sent_at, sent_at);
    }

    LeaseBook book_;
};

TEST_F(LeaseBookTest, FirstUseAsksForASlice) {
    EXPECT_TRUE(book_.needs_renewal(0));
    book_.use(kOrg, 0);
    const LeaseRequest request = book_.next_request("g", false, 0);
    EXPECT_EQ(request.epoch, Epoch(0));
    EXPECT_EQ(request.asks.at(0).wanted, NanoUsd(100));
    answer(100, 0);
    EXPECT_FALSE(book_.needs_renewal(0));
    EXPECT_EQ(book_.next_request("g", true, 0).epoch, Epoch(4));
    EXPECT_EQ(book_.share().ppm, 250'000);
    EXPECT_TRUE(book_.use(kOrg, 0).fits(NanoUsd(100), 599 * kSecond));
    EXPECT_FALSE(book_.use(kOrg, 0).fits(NanoUsd(1), 600 * kSecond));
}

TEST_F(LeaseBookTest, RenewsAtHalfOfTheMoneyOrOfTheTime) {
    CreditLease& lease = book_.use(kOrg, 0);
    answer(100, 0);
    lease.hold(NanoUsd(50));
    EXPECT_FALSE(book_.needs_renewal(0));
    lease.hold(NanoUsd(1));
    EXPECT_TRUE(book_.needs_renewal(0));
    EXPECT_EQ(ask(0).wanted, NanoUsd(151));
    answer(151, kSecond);
    EXPECT_FALSE(book_.needs_renewal(kSecond));
    EXPECT_TRUE(book_.needs_renewal(301 * kSecond));
}

TEST_F(LeaseBookTest, AsksForAsMuchAgainAsItHolds) {
    CreditLease& lease = book_.use(kOrg, 0);
    answer(1000, 0);
    lease.hold(NanoUsd(900));
    EXPECT_EQ(ask(0).wanted, NanoUsd(1800));
}

TEST_F(LeaseBookTest, OnlyAcknowledgedUsageIsSettled) {
    CreditLease& lease = book_.use(kOrg, 0);
    answer(100, 0);
    lease.hold(NanoUsd(30));
    lease.settle(NanoUsd(30), NanoUsd(20));
    book_.checkpoint();
    lease.hold(NanoUsd(5));
    lease.settle(NanoUsd(5), NanoUsd(5));
    EXPECT_EQ(ask(0).settled, NanoUsd());
    book_.confirm_checkpoint();
    EXPECT_EQ(ask(0).settled, NanoUsd(20));
}

TEST_F(LeaseBookTest, IdleSubjectGivesBackOnceItsOutboxIsDrained) {
    CreditLease& lease = book_.use(kOrg, 0);
    answer(100, 0);
    lease.hold(NanoUsd(30));
    lease.settle(NanoUsd(30), NanoUsd(20));
    EXPECT_EQ(ask(60 * kSecond).returned, NanoUsd());  // 20 are not acknowledged
    book_.checkpoint();
    book_.confirm_checkpoint();
    EXPECT_EQ(ask(59 * kSecond).returned, NanoUsd());
    const LeaseAsk last = ask(60 * kSecond);
    EXPECT_EQ(last.returned, NanoUsd(80));
    EXPECT_EQ(last.wanted, NanoUsd(100));
    EXPECT_FALSE(lease.fits(NanoUsd(1), 60 * kSecond));
    book_.use(kOrg, 61 * kSecond);
    EXPECT_EQ(ask(61 * kSecond).wanted, NanoUsd(200));
}

TEST_F(LeaseBookTest, FencedRunHoldsNothingNew) {
    CreditLease& lease = book_.use(kOrg, 0);
    answer(100, 0);
    lease.hold(NanoUsd(30));
    book_.fence();
    EXPECT_TRUE(book_.is_fenced());
    EXPECT_FALSE(lease.fits(NanoUsd(1), 0));
    lease.settle(NanoUsd(30), NanoUsd(30));
}

TEST_F(LeaseBookTest, TellsGoneCreditFromLateCredit) {
    book_.use(kOrg, 0);
    EXPECT_FALSE(book_.is_short(kOrg));
    answer(40, 0, true);
    EXPECT_TRUE(book_.is_short(kOrg));
    answer(100, 0);
    EXPECT_FALSE(book_.is_short(kOrg));
}

TEST_F(LeaseBookTest, LeavingGivesBackWhatIsFreeAndHoldsNothingNew) {
    CreditLease& lease = book_.use(kOrg, 0);
    answer(100, 0);
    lease.hold(NanoUsd(30));
    lease.hold(NanoUsd(20));
    lease.settle(NanoUsd(20), NanoUsd(15));
    book_.checkpoint();
    book_.confirm_checkpoint();
    const LeaseRequest request = book_.leave("g", true);
    EXPECT_TRUE(request.is_leaving);
    EXPECT_EQ(request.epoch, Epoch(4));
    const LeaseAsk& ask = request.asks.at(0);
    EXPECT_EQ(ask.settled, NanoUsd(15));
    EXPECT_EQ(ask.returned, NanoUsd(55));  // 30 are still held
    EXPECT_EQ(ask.wanted, NanoUsd(100));
    EXPECT_FALSE(lease.fits(NanoUsd(1), 0));
}

}  // namespace
}  // namespace turnpike::gateway
