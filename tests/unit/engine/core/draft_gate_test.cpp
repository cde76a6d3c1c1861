// DraftGate: when it closes, how it probes, when it comes back, and what it costs at most.
#include "engine/core/draft_gate.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tests/support/random.h"

namespace turnpike::engine {
namespace {

// The steps of a sequence: one that was asked for a draft is followed by one that checks it.
struct History {
    std::vector<int> asked;  // by step
    int num_checked = 0;
    bool ends_open = false;
};

History run(DraftGate gate, int num_steps, const std::function<bool(int)>& is_accepted) {
    History history;
    bool has_draft = false;
    for (int step = 0; step < num_steps; ++step) {
        const bool checks = has_draft;
        EXPECT_EQ(gate.is_due(), DraftGate(gate).take_step());
        has_draft = gate.take_step();
        if (has_draft) history.asked.push_back(step);
        if (!checks) continue;
        gate.learn(is_accepted(step));
        ++history.num_checked;
        if (!gate.is_open()) has_draft = false;  // as a sequence does
    }
    history.ends_open = gate.is_open();
    return history;
}

TEST(DraftGate, ClosesAfterFourRefusedDraftsAndProbesEverMoreSeldom) {
    const History history = run(DraftGate(true), 130, [](int) { return false; });
    // Asked at 0 .. 4, of which four are checked: the fourth refusal closes it, at step 4.
    EXPECT_EQ(history.asked, (std::vector<int>{0, 1, 2, 3, 4, 12, 29, 62, 95, 128}));
    EXPECT_FALSE(history.ends_open);
}

TEST(DraftGate, TwoAcceptedProbesOpenIt) {
    DraftGate gate(true);
    while (gate.is_open()) gate.learn(false);
    for (int i = 0; i < 10; ++i) gate.learn(false);
    EXPECT_LT(gate.estimate(), 0.01);
    EXPECT_FALSE(gate.is_due());
    gate.learn(true);
    EXPECT_FALSE(gate.is_open());
    EXPECT_TRUE(gate.is_due());  // at once
    EXPECT_TRUE(gate.take_step());
    EXPECT_FALSE(gate.is_due());
    gate.learn(true);
    EXPECT_TRUE(gate.is_open());
}

TEST(DraftGate, AsManyDraftsAStepAsTheirOddsAreWorth) {
    DraftGate gate(true);
    EXPECT_EQ(gate.depth(1), 1);
    EXPECT_EQ(gate.depth(8), 4) << "0.85 to the fourth is 0.52";
    for (int i = 0; i < 50; ++i) gate.learn(true);
    EXPECT_EQ(gate.depth(8), 8);
    EXPECT_EQ(gate.depth(3), 3);
    gate.learn(false);
    EXPECT_EQ(gate.depth(8), 5) << "0.875";
    for (int i = 0; i < 3; ++i) gate.learn(false);
    EXPECT_TRUE(gate.is_open());
    EXPECT_EQ(gate.depth(8), 1);
    while (gate.is_open()) gate.learn(false);
    EXPECT_EQ(gate.depth(8), 1) << "a probe";
    EXPECT_EQ(DraftGate(false).depth(8), 8);
}

TEST(DraftGate, OneThatIsNotAdaptiveStaysOpen) {
    const History history = run(DraftGate(false), 100, [](int) { return false; });
    EXPECT_EQ(history.asked.size(), 100U);
    EXPECT_TRUE(history.ends_open);
}

bool happens(test::SeededRandom& random, double chance) {
    return static_cast<double>(random.between(0, 999'999)) < chance * 1e6;
}

TEST(DraftGate, HoldsItsBoundsWhateverHappens) {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        test::SeededRandom random(seed);
        SCOPED_TRACE(random.replay());
        std::vector<bool> outcomes;
        double chance = 0.5;
        for (int step = 0; step < 600; ++step) {
            if (random.between(0, 49) == 0)
                chance = static_cast<double>(random.between(0, 100)) / 100.0;
            outcomes.push_back(happens(random, chance));
        }
        const auto outcome = [&](int step) { return outcomes[static_cast<std::size_t>(step)]; };
        const History history = run(DraftGate(true), 600, outcome);
        // Never longer away than the longest interval and the step that checked a probe.
        for (std::size_t i = 1; i < history.asked.size(); ++i)
            EXPECT_LE(history.asked[i] - history.asked[i - 1], DraftGate::kLongestInterval + 1);
        // The same history, the same decisions.
        EXPECT_EQ(run(DraftGate(true), 600, outcome).asked, history.asked);
    }
}

// Shares of the steps that check a draft, over many sequences with one acceptance each.
TEST(DraftGate, DraftsWhereTheyPayAndHardlyElsewhere) {
    const auto share_checked = [](double acceptance) {
        constexpr int kSequences = 200;
        constexpr int kSteps = 500;
        test::SeededRandom random(7);
        int num_checked = 0;
        for (int i = 0; i < kSequences; ++i) {
            num_checked += run(DraftGate(true), kSteps, [&](int) {
                               return happens(random, acceptance);
                           }).num_checked;
        }
        return static_cast<double>(num_checked) / (kSequences * kSteps);
    };
    EXPECT_LT(share_checked(0.0), 0.045);
    EXPECT_LT(share_checked(0.1), 0.06);
    EXPECT_GT(share_checked(0.85), 0.97);
    EXPECT_GT(share_checked(0.95), 0.99);
}

TEST(DraftGate, ComesBackSoonAfterDraftsAreRightAgain) {
    for (int turn = 10; turn < 400; turn += 13) {
        const History history =
            run(DraftGate(true), turn + 60, [&](int step) { return step >= turn; });
        EXPECT_TRUE(history.ends_open) << "right from step " << turn;
        int num_after = 0;
        for (const int step : history.asked) num_after += step >= turn ? 1 : 0;
        EXPECT_GE(num_after, 60 - DraftGate::kLongestInterval - 4);
    }
}

}  // namespace
}  // namespace turnpike::engine
