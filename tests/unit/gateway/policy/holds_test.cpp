// Holds inside leases: before dispatch, while streaming, at the end.
#include "gateway/policy/holds.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

constexpr Nanos kNever = INT64_MAX;

HoldTerms terms_of(TokenCount max_output_tokens) {
    HoldTerms terms;
    terms.price.input_nano_usd = NanoUsd(3);
    terms.price.output_nano_usd = NanoUsd(7);
    terms.max_output_tokens = max_output_tokens;
    return terms;
}

TokenUsage usage_of(TokenCount prompt, TokenCount completion) {
    return TokenUsage{prompt, 0, completion, 0};
}

TEST(HoldTest, PromptAndOneSliceOfOutputAreHeldAndSettledExactly) {
    CreditLease lease;
    lease.grant(NanoUsd(100'000), kNever);
    Hold hold(lease, nullptr, terms_of(32'768));
    ASSERT_TRUE(hold.begin(100, 0));
    EXPECT_EQ(lease.held(), NanoUsd(300 + 7 * 4096));
    hold.settle(NanoUsd(1234));
    hold.settle(NanoUsd(1234));
    EXPECT_EQ(lease.held(), NanoUsd());
    EXPECT_EQ(lease.spent(), NanoUsd(1234));
    EXPECT_EQ(lease.free(), NanoUsd(100'000 - 1234));
}

TEST(HoldTest, NoMoreIsHeldThanCanCome) {
    CreditLease lease;
    lease.grant(NanoUsd(1000), kNever);
    Hold hold(lease, nullptr, terms_of(100));
    ASSERT_TRUE(hold.begin(100, 0));
    EXPECT_EQ(lease.free(), NanoUsd());
    EXPECT_EQ(hold.on_meter(usage_of(100, 99), 0), Hold::State::kCovered);
    EXPECT_EQ(hold.on_meter(usage_of(100, 100), 0), Hold::State::kCovered);
    hold.settle(NanoUsd(1000));
    EXPECT_EQ(lease.free(), NanoUsd());
}

TEST(HoldTest, RefusedHoldLeavesBothLeasesAsTheyWere) {
    CreditLease lease;
    CreditLease key;
    lease.grant(NanoUsd(1'000'000), kNever);
    key.grant(NanoUsd(999), kNever);
    Hold hold(lease, &key, terms_of(100));
    EXPECT_FALSE(hold.begin(100, 0));
    EXPECT_EQ(lease.held(), NanoUsd());
    EXPECT_EQ(key.held(), NanoUsd());
}

TEST(HoldTest, IsToppedUpWhenHalfIsLeft) {
    CreditLease lease;
    lease.grant(NanoUsd(1'000'000), kNever);
    Hold hold(lease, nullptr, terms_of(32'768));
    ASSERT_TRUE(hold.begin(100, 0));
    EXPECT_EQ(hold.on_meter(usage_of(100, 2048), 0), Hold::State::kCovered);
    EXPECT_EQ(hold.amount(), NanoUsd(300 + 7 * 4096));
    EXPECT_EQ(hold.on_meter(usage_of(100, 2049), 0), Hold::State::kCovered);
    EXPECT_EQ(hold.amount(), NanoUsd(300 + 7 * (2049 + 4096)));
    hold.settle(NanoUsd());
}

TEST(HoldTest, CorrectsAnEstimateThatWasTooLow) {
    CreditLease lease;
    lease.grant(NanoUsd(1'000'000), kNever);
    Hold hold(lease, nullptr, terms_of(10));
    ASSERT_TRUE(hold.begin(100, 0));
    EXPECT_EQ(hold.on_meter(usage_of(300, 0), 0), Hold::State::kCovered);
    EXPECT_EQ(hold.amount(), NanoUsd(900 + 70));
    hold.settle(NanoUsd(970));
}

TEST(HoldTest, StopsAheadOfItsEndWithoutCredit) {
    CreditLease lease;
    lease.grant(NanoUsd(300 + 7 * 4096 + 70), kNever);
    Hold hold(lease, nullptr, terms_of(32'768));
    ASSERT_TRUE(hold.begin(100, 0));
    EXPECT_EQ(hold.on_meter(usage_of(100, 2049), 0), Hold::State::kLow);
    EXPECT_EQ(lease.free(), NanoUsd());  // the rest was taken
    EXPECT_EQ(hold.on_meter(usage_of(100, 4090), 0), Hold::State::kLow);
    EXPECT_EQ(hold.on_meter(usage_of(100, 4091), 0), Hold::State::kExhausted);
    // New credit in time lets it go on.
    lease.grant(NanoUsd(1'000'000), kNever);
    EXPECT_EQ(hold.on_meter(usage_of(100, 4091), 0), Hold::State::kCovered);
    hold.settle(NanoUsd(0));
}

TEST(HoldTest, ExpiredLeaseServesWhatItHoldsAndNothingNew) {
    CreditLease lease;
    lease.grant(NanoUsd(1'000'000), 100);
    Hold hold(lease, nullptr, terms_of(32'768));
    ASSERT_TRUE(hold.begin(100, 99));
    Hold late(lease, nullptr, terms_of(10));
    EXPECT_FALSE(late.begin(1, 100));
    EXPECT_EQ(hold.on_meter(usage_of(100, 3000), 100), Hold::State::kLow);
    EXPECT_EQ(hold.on_meter(usage_of(100, 4090), 100), Hold::State::kExhausted);
    hold.settle(NanoUsd(7));
}

TEST(HoldTest, WhatCostsNothingNeedsNoLease) {
    CreditLease lease;
    HoldTerms terms;
    terms.max_output_tokens = 10;
    Hold hold(lease, nullptr, terms);
    EXPECT_TRUE(hold.begin(100, 0));
    EXPECT_EQ(hold.on_meter(usage_of(200, 10), 0), Hold::State::kCovered);
    hold.settle(NanoUsd());
}

TEST(CreditLeaseTest, OldAnswersChangeNothing) {
    CreditLease lease;
    lease.grant(NanoUsd(100), 50);
    lease.grant(NanoUsd(80), 40);
    EXPECT_EQ(lease.granted(), NanoUsd(100));
    EXPECT_TRUE(lease.fits(NanoUsd(100), 49));
}

TEST(CreditLeaseTest, OnlyWhatIsFreeIsGivenBack) {
    CreditLease lease;
    lease.grant(NanoUsd(100), kNever);
    lease.hold(NanoUsd(30));
    lease.hold(NanoUsd(10));
    lease.settle(NanoUsd(10), NanoUsd(10));
    EXPECT_EQ(lease.give_back_free(), NanoUsd(60));
    EXPECT_EQ(lease.free(), NanoUsd());
    lease.settle(NanoUsd(30), NanoUsd(50));  // cost more than it held
    EXPECT_EQ(lease.free(), NanoUsd(-20));
    EXPECT_EQ(lease.give_back_free(), NanoUsd(60));
    EXPECT_FALSE(lease.fits(NanoUsd(1), 0));
    EXPECT_EQ(lease.granted(), lease.returned() + lease.spent() + lease.held() + lease.free());
}

}  // namespace
}  // namespace turnpike::gateway
