// Gcra and SlotLeases: exact waits, corrections, and clocks that step back.
#include "gateway/policy/gcra.h"

#include <gtest/gtest.h>

#include "gateway/policy/slot_leases.h"

namespace turnpike::gateway {
namespace {

constexpr Nanos kSecond = 1'000'000'000;

TEST(GcraTest, BurstIsOneMinutesWorthThenTheRate) {
    Gcra meter;
    for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(meter.wait_for(6, 1, 0), 0);
        meter.take(6, 1, 0);
    }
    EXPECT_EQ(meter.wait_for(6, 1, 0), 10 * kSecond);
    EXPECT_EQ(meter.wait_for(6, 1, 10 * kSecond - 1), 1);
    EXPECT_EQ(meter.wait_for(6, 1, 10 * kSecond), 0);
    EXPECT_EQ(meter.remaining(6, 0), 0);
    EXPECT_EQ(meter.reset_after(6, 0), 60 * kSecond);
}

TEST(GcraTest, RateThatDoesNotDivideAMinuteIsExact) {
    Gcra meter;
    meter.take(7, 7, 0);
    const Nanos wait = meter.wait_for(7, 1, 0);
    EXPECT_EQ(wait, 8'571'428'572);  // 60 s / 7, rounded up
    EXPECT_EQ(meter.wait_for(7, 1, wait), 0);
    EXPECT_GT(meter.wait_for(7, 1, wait - 1), 0);
}

TEST(GcraTest, CostOverTheBurstWaitsForAnEmptyBacklog) {
    Gcra meter;
    EXPECT_EQ(meter.wait_for(10, 1000, 0), 0);
    meter.take(10, 1, 0);
    EXPECT_EQ(meter.wait_for(10, 1000, 0), 6 * kSecond);
}

TEST(GcraTest, DebtIsWorkedOff) {
    Gcra meter;
    meter.take(60, 180, 0);
    EXPECT_EQ(meter.remaining(60, 0), 0);
    EXPECT_EQ(meter.wait_for(60, 1, 0), 121 * kSecond);
}

TEST(GcraTest, WhatHasDrainedIsNotGivenBack) {
    Gcra meter;
    meter.take(60, 60, 0);
    meter.take(60, 60, 60 * kSecond);
    // Had the first cost 0, the backlog would still be the second's 60.
    meter.give_back(60, 60, 0, 60 * kSecond);
    EXPECT_EQ(meter.remaining(60, 60 * kSecond), 0);
    meter.give_back(60, 60, 60 * kSecond, 60 * kSecond);
    EXPECT_EQ(meter.remaining(60, 60 * kSecond), 60);
}

TEST(GcraTest, ClockThatStepsBackGivesNothingAway) {
    Gcra meter;
    meter.take(60, 60, 100 * kSecond);
    EXPECT_EQ(meter.wait_for(60, 1, 40 * kSecond), 61 * kSecond);
    EXPECT_EQ(meter.remaining(60, 40 * kSecond), 0);
    meter.take(60, 1, 40 * kSecond);
    EXPECT_EQ(meter.wait_for(60, 1, 100 * kSecond), 2 * kSecond);
}

TEST(SlotLeasesTest, ExpireUnlessRenewed) {
    SlotLeases slots;
    slots.take(1, 0);
    slots.take(2, kSecond);
    EXPECT_EQ(slots.count(2 * kSecond), 2);
    slots.renew(1, 60 * kSecond);
    EXPECT_EQ(slots.count(kSecond + kSlotLifetime), 1);
    EXPECT_EQ(slots.next_expiry(kSecond + kSlotLifetime), 59 * kSecond);
    slots.release(1);
    slots.release(1);
    EXPECT_EQ(slots.count(0), 0);
    EXPECT_EQ(slots.next_expiry(0), 0);
}

TEST(SlotLeasesTest, ExpiredOneThatLivesTakesItsSlotAgain) {
    SlotLeases slots;
    slots.take(1, 0);
    EXPECT_EQ(slots.count(kSlotLifetime), 0);
    slots.renew(1, kSlotLifetime);
    EXPECT_EQ(slots.count(kSlotLifetime), 1);
}

}  // namespace
}  // namespace turnpike::gateway
