// Who pays, for each way that a reply can end; and a sweep over all of them.
#include "gateway/policy/settlement.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

using controlplane::Outcome;

constexpr TokenUsage kUsage{9, 0, 3, 0};

ReplyFacts ended() {
    ReplyFacts facts;
    facts.meter = kUsage;
    facts.has_ended = true;
    return facts;
}

TEST(Settlement, CompletedRepliesAreBilled) {
    ReplyFacts facts;
    facts.meter = kUsage;
    facts.is_complete = true;
    const Settlement settlement = settle(facts);
    EXPECT_EQ(settlement.outcome, Outcome::kCompleted);
    EXPECT_EQ(settlement.usage, kUsage);
    EXPECT_FALSE(settlement.needs_meter);
}

TEST(Settlement, CompleteWithoutAMeterLineIsTheReplicasFault) {
    ReplyFacts facts;
    facts.is_complete = true;
    facts.has_ended = true;
    EXPECT_EQ(settle(facts).outcome, Outcome::kReplicaFailed);
    EXPECT_TRUE(settle(facts).needs_meter);
}

TEST(Settlement, ClientsThatLeavePayForWhatWasProduced) {
    ReplyFacts facts = ended();
    facts.is_client_gone = true;
    EXPECT_EQ(settle(facts).outcome, Outcome::kClientGone);
    EXPECT_EQ(settle(facts).usage, kUsage);
    facts.has_ended = false;
    facts.is_cut_off = true;  // no answer in time: the last line seen may not be the last
    EXPECT_EQ(settle(facts).outcome, Outcome::kClientGone);
    EXPECT_TRUE(settle(facts).needs_meter);
    facts.is_cut_off = false;  // the engine died meanwhile
    EXPECT_EQ(settle(facts).outcome, Outcome::kReplicaFailed);
    EXPECT_TRUE(settle(facts).needs_meter);
}

TEST(Settlement, CreditThatEndsPaysForWhatWasProduced) {
    ReplyFacts facts = ended();
    facts.is_exhausted = true;
    EXPECT_EQ(settle(facts).outcome, Outcome::kCompleted);
    EXPECT_EQ(settle(facts).usage, kUsage);
    facts.has_error = true;
    EXPECT_EQ(settle(facts).outcome, Outcome::kReplicaFailed);
    facts.has_error = false;
    facts.has_ended = false;  // the engine died meanwhile
    EXPECT_EQ(settle(facts).outcome, Outcome::kReplicaFailed);
    facts.is_cut_off = true;  // it did not answer the cancel in time
    EXPECT_EQ(settle(facts).outcome, Outcome::kCompleted);
    EXPECT_TRUE(settle(facts).needs_meter);
}

TEST(Settlement, EndWithoutCompletionIsOurFaultUnlessTheClientWasSlow) {
    ReplyFacts facts = ended();
    EXPECT_EQ(settle(facts).outcome, Outcome::kReplicaFailed);
    EXPECT_FALSE(settle(facts).needs_meter);
    facts.was_client_slow = true;
    EXPECT_EQ(settle(facts).outcome, Outcome::kClientGone);
    facts.has_error = true;
    EXPECT_EQ(settle(facts).outcome, Outcome::kReplicaFailed);
}

TEST(Settlement, RequestsOverTimeAreWrittenOff) {
    ReplyFacts facts = ended();
    facts.is_complete = true;
    facts.is_cut_off = true;
    facts.was_client_slow = true;
    EXPECT_EQ(settle(facts).outcome, Outcome::kReplicaFailed);
}

// Over all facts: counts are known only from a last line, and only a client's own doing is billed.
TEST(Settlement, HoldsOverAllFacts) {
    for (unsigned bits = 0; bits < 128; ++bits) {
        SCOPED_TRACE(bits);
        ReplyFacts facts;
        if ((bits & 1U) != 0) facts.meter = kUsage;
        facts.is_complete = (bits & 2U) != 0;
        facts.has_ended = (bits & 4U) != 0;
        facts.has_error = (bits & 8U) != 0;
        facts.is_client_gone = (bits & 16U) != 0;
        facts.was_client_slow = (bits & 32U) != 0;
        facts.is_cut_off = (bits & 64U) != 0;
        const Settlement settlement = settle(facts);
        EXPECT_EQ(settlement.needs_meter, !facts.meter || (!facts.is_complete && !facts.has_ended));
        EXPECT_EQ(settlement.usage, settlement.needs_meter ? TokenUsage() : kUsage);
        if (settlement.outcome == Outcome::kCompleted) {
            EXPECT_TRUE(facts.is_complete && facts.meter && !facts.is_client_gone);
        }
        if (settlement.outcome == Outcome::kClientGone) {
            EXPECT_TRUE(facts.is_client_gone || facts.was_client_slow);
        }
    }
}

}  // namespace
}  // namespace turnpike::gateway
