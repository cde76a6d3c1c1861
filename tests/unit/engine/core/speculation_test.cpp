// Drafts in the scheduler: which steps hold one, what a right, a wrong and a useless one change,
// and that they cost nobody a block.
#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "config/base/limits.h"
#include "engine/core/scheduler.h"

namespace turnpike::engine {
namespace {

constexpr auto kBlock = static_cast<std::size_t>(limits::kKvBlockTokens);
constexpr TokenId kStop = 1;

using Tokens = std::vector<TokenId>;

SequenceSpec spec_of(SequenceId id, std::size_t num_prompt, std::int32_t max_tokens) {
    SequenceSpec spec;
    spec.id = id;
    spec.prompt.assign(num_prompt, 3);
    spec.max_tokens = max_tokens;
    spec.stop_tokens = {kStop};
    return spec;
}

SchedulerOptions options_of(std::int32_t max_running) {
    return {.max_running = max_running,
            .max_waiting = 8,
            .max_step_tokens = 500,
            .num_speculative_tokens = 1,
            .max_speculating = 8};
}

// Samples `tokens` at the rows of each slice, one after the other as far as the drafts are right,
// and drafts `draft` where one is wanted.
StepResult answer(const StepBatch& batch, const Tokens& tokens, std::optional<TokenId> draft) {
    StepResult result{batch.step, {}};
    for (const SequenceSlice& slice : batch.slices) {
        if (!slice.is_sampled) continue;
        auto row = slice.tokens.size() - static_cast<std::size_t>(slice.num_draft_tokens);
        for (const TokenId token : tokens) {
            const auto position = slice.first_position + static_cast<std::int32_t>(row);
            result.samples.push_back({slice.sequence, position, token, 0.0F});
            if (row == slice.tokens.size() || slice.tokens[row] != token) break;
            ++row;
        }
        if (slice.num_wanted_drafts > 0 && draft) result.samples.back().drafts = {*draft};
    }
    return result;
}

Tokens tokens_of(const std::vector<TokenEvent>& events) {
    Tokens tokens;
    for (const TokenEvent& event : events) tokens.push_back(event.token.value());
    return tokens;
}

TEST(Speculation, ARightDraftGivesTwoTokensInOneStep) {
    Scheduler scheduler(options_of(4), {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    const StepBatch prompt = scheduler.plan();
    EXPECT_EQ(prompt.slices.at(0).num_draft_tokens, 0);
    EXPECT_EQ(prompt.slices[0].num_wanted_drafts, 1);
    EXPECT_EQ(tokens_of(scheduler.collect(answer(prompt, {50}, 51))), (Tokens{50}));

    const StepBatch both = scheduler.plan();
    EXPECT_EQ(both.slices.at(0).tokens, (Tokens{50, 51}));
    EXPECT_EQ(both.slices[0].num_draft_tokens, 1);
    EXPECT_EQ(both.slices[0].first_position, 4);
    EXPECT_EQ(tokens_of(scheduler.collect(answer(both, {51, 52}, 53))), (Tokens{51, 52}));

    const StepBatch next = scheduler.plan();
    EXPECT_EQ(next.slices.at(0).tokens, (Tokens{52, 53}));
    EXPECT_EQ(next.slices[0].first_position, 6);
    EXPECT_EQ(scheduler.counters().num_drafts, 1);
    EXPECT_EQ(scheduler.counters().num_draft_tokens, 1);
    EXPECT_EQ(scheduler.counters().num_accepted_tokens, 1);
}

TEST(Speculation, TheRowOfAWrongDraftIsPlannedAgain) {
    Scheduler scheduler(options_of(4), {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    scheduler.collect(answer(scheduler.plan(), {50}, 99));
    const StepBatch both = scheduler.plan();
    EXPECT_EQ(both.slices.at(0).tokens, (Tokens{50, 99}));
    EXPECT_EQ(tokens_of(scheduler.collect(answer(both, {51, 52}, std::nullopt))), (Tokens{51}));
    const StepBatch next = scheduler.plan();
    EXPECT_EQ(next.slices.at(0).tokens, (Tokens{51}));
    EXPECT_EQ(next.slices[0].num_draft_tokens, 0);  // the runner gave none
    EXPECT_EQ(next.slices[0].first_position, 5);
    EXPECT_EQ(scheduler.counters().num_draft_tokens, 1);
    EXPECT_EQ(scheduler.counters().num_accepted_tokens, 0);
}

SchedulerOptions options_of_three() {
    SchedulerOptions options = options_of(4);
    options.num_speculative_tokens = 3;
    options.has_draft_gate = false;
    return options;
}

// As answer(), with the drafts as they are.
StepResult answer_all(const StepBatch& batch, const Tokens& tokens, const Tokens& drafts) {
    StepResult result = answer(batch, tokens, std::nullopt);
    result.samples.back().drafts = drafts;
    return result;
}

TEST(Speculation, DraftsOfAStepCountUpToTheFirstWrongOne) {
    Scheduler scheduler(options_of_three(), {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    const StepBatch prompt = scheduler.plan();
    EXPECT_EQ(prompt.slices.at(0).num_wanted_drafts, 3);
    scheduler.collect(answer_all(prompt, {50}, {51, 52, 99}));

    const StepBatch four = scheduler.plan();
    EXPECT_EQ(four.slices.at(0).tokens, (Tokens{50, 51, 52, 99}));
    EXPECT_EQ(four.slices[0].num_draft_tokens, 3);
    const auto events = scheduler.collect(answer_all(four, {51, 52, 53, 54}, {60}));
    EXPECT_EQ(tokens_of(events), (Tokens{51, 52, 53}));

    const StepBatch next = scheduler.plan();
    EXPECT_EQ(next.slices.at(0).tokens, (Tokens{53, 60})) << "the runner gave one";
    EXPECT_EQ(next.slices[0].first_position, 7);
    EXPECT_EQ(scheduler.counters().num_drafts, 1);
    EXPECT_EQ(scheduler.counters().num_draft_tokens, 3);
    EXPECT_EQ(scheduler.counters().num_accepted_tokens, 2);
    EXPECT_EQ(scheduler.counters().num_accepted_at[0], 1);
    EXPECT_EQ(scheduler.counters().num_accepted_at[1], 1);
    EXPECT_EQ(scheduler.counters().num_accepted_at[2], 0);
}

TEST(Speculation, DraftsEndWhereMaxTokensAndMinTokensEnd) {
    for (std::int32_t max_tokens = 1; max_tokens < 12; ++max_tokens) {
        for (std::int32_t min_tokens = 0; min_tokens <= max_tokens; ++min_tokens) {
            Scheduler scheduler(options_of_three(), {1, 8});
            SequenceSpec spec = spec_of(1, 4, max_tokens);
            spec.min_tokens = min_tokens;
            ASSERT_TRUE(scheduler.add(std::move(spec)).has_value());
            std::int32_t num_told = 0;
            while (!scheduler.is_idle()) {
                const StepBatch batch = scheduler.plan();
                const SequenceSlice& slice = batch.slices.at(0);
                const std::int32_t most_told = num_told + 1 + slice.num_draft_tokens;
                EXPECT_LE(most_told, max_tokens);
                EXPECT_LE(most_told + slice.num_wanted_drafts + (slice.num_wanted_drafts ? 1 : 0),
                          max_tokens);
                // One side of the border or the other.
                EXPECT_TRUE(num_told >= min_tokens || most_told <= min_tokens);
                EXPECT_EQ(slice.forbidden_tokens.empty(), num_told >= min_tokens);
                for (const TokenEvent& event :
                     scheduler.collect(answer_all(batch, {50, 50, 50, 50}, {50, 50, 50})))
                    num_told += event.token.has_value() ? 1 : 0;
            }
            EXPECT_EQ(num_told, max_tokens);
            EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
        }
    }
}

// The draft layer's own rows of the second draft and on lie beyond those of the step.
TEST(Speculation, WantedDraftsHaveTheirBlocks) {
    for (const std::int32_t num_blocks : {1, 2}) {
        Scheduler scheduler(options_of_three(), {1, num_blocks});
        ASSERT_TRUE(scheduler.add(spec_of(1, kBlock - 1, 1 + 64 * (num_blocks - 1))).has_value());
        const StepBatch prompt = scheduler.plan();
        const SequenceSlice& slice = prompt.slices.at(0);
        EXPECT_EQ(slice.block_table.size(), static_cast<std::size_t>(num_blocks));
        EXPECT_EQ(slice.num_wanted_drafts, num_blocks == 1 ? 0 : 3);
    }
    // Nobody gives way: one draft needs none, the next has the block's last position.
    SchedulerOptions options = options_of_three();
    options.has_prefix_cache = false;
    Scheduler scheduler(options, {1, 2});
    ASSERT_TRUE(scheduler.add(spec_of(1, kBlock - 1, 40)).has_value());
    ASSERT_TRUE(scheduler.add(spec_of(2, kBlock - 1, 40)).has_value());
    const StepBatch both = scheduler.plan();
    ASSERT_GE(both.slices.size(), 1U);
    for (const SequenceSlice& slice : both.slices) {
        EXPECT_LE(slice.first_position + static_cast<std::int32_t>(slice.tokens.size()) +
                      slice.num_wanted_drafts - 1,
                  static_cast<std::int32_t>(slice.block_table.size() * kBlock));
    }
    EXPECT_EQ(scheduler.counters().num_preemptions, 0);
}

TEST(Speculation, IsOffUnlessAskedFor) {
    SchedulerOptions options = options_of(4);
    options.num_speculative_tokens = 0;
    Scheduler scheduler(options, {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    const StepBatch first = scheduler.plan();
    EXPECT_EQ(first.slices.at(0).num_wanted_drafts, 0);
    StepResult result = answer(first, {50}, std::nullopt);
    result.samples.at(0).drafts = {51};  // unasked
    scheduler.collect(result);
    EXPECT_EQ(scheduler.plan().slices.at(0).tokens, (Tokens{50}));
}

TEST(Speculation, NoRowIsSpentBeyondMaxTokens) {
    for (const std::int32_t max_tokens : {1, 2, 3, 4}) {
        Scheduler scheduler(options_of(4), {1, 8});
        ASSERT_TRUE(scheduler.add(spec_of(1, 4, max_tokens)).has_value());
        std::int32_t num_told = 0;
        while (!scheduler.is_idle()) {
            const StepBatch batch = scheduler.plan();
            const SequenceSlice& slice = batch.slices.at(0);
            // A draft that is asked for can be used when it is the newest token but one at least.
            EXPECT_EQ(slice.num_wanted_drafts,
                      num_told + 1 + slice.num_draft_tokens + 2 <= max_tokens ? 1 : 0);
            EXPECT_LE(num_told + 1 + slice.num_draft_tokens, max_tokens);
            for (const TokenEvent& event : scheduler.collect(answer(batch, {50, 50}, 50))) {
                ++num_told;
                EXPECT_EQ(event.is_last(), num_told == max_tokens);
            }
        }
        EXPECT_EQ(num_told, max_tokens);
        EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
    }
}

TEST(Speculation, NothingFollowsAStopTokenOfTheSameStep) {
    Scheduler scheduler(options_of(4), {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    scheduler.collect(answer(scheduler.plan(), {50}, kStop));
    const auto events = scheduler.collect(answer(scheduler.plan(), {kStop, 60}, 61));
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].finish_reason, FinishReason::kStop);
    EXPECT_TRUE(scheduler.is_idle());
    EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
}

TEST(Speculation, ManyRunningSequencesSwitchItOff) {
    SchedulerOptions options = options_of(3);
    options.max_speculating = 1;
    Scheduler scheduler(options, {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    scheduler.collect(answer(scheduler.plan(), {50}, 51));
    ASSERT_TRUE(scheduler.add(spec_of(2, 4, 2)).has_value());
    for (int i = 0; i < 2; ++i) {  // until the second is through
        const StepBatch batch = scheduler.plan();
        ASSERT_EQ(batch.slices.size(), 2U);
        for (const SequenceSlice& slice : batch.slices) {
            EXPECT_EQ(slice.num_draft_tokens, 0);
            EXPECT_EQ(slice.num_wanted_drafts, 0);
        }
        scheduler.collect(answer(batch, {50}, 51));
    }
    const StepBatch alone = scheduler.plan();
    ASSERT_EQ(alone.slices.size(), 1U);
    EXPECT_EQ(alone.slices[0].num_draft_tokens, 0);  // the last step was asked for none
    EXPECT_EQ(alone.slices[0].num_wanted_drafts, 1);
    scheduler.collect(answer(alone, {50}, 51));
    EXPECT_EQ(scheduler.plan().slices.at(0).num_draft_tokens, 1);
}

// Runs alone until the end, two steps in flight where the scheduler gives two. Each draft is right
// or not as `is_right` says of the position it is for. Returns the slices of generated rows.
std::vector<SequenceSlice> run_to_end(Scheduler& scheduler, bool (*is_right)(std::int32_t)) {
    std::vector<SequenceSlice> slices;
    std::deque<StepBatch> in_flight;
    while (!scheduler.is_idle()) {
        while (in_flight.size() < 2) {
            StepBatch batch = scheduler.plan();
            if (batch.slices.empty()) break;
            slices.push_back(batch.slices.at(0));
            in_flight.push_back(std::move(batch));
        }
        const StepBatch batch = std::move(in_flight.front());
        in_flight.pop_front();
        const SequenceSlice& slice = batch.slices[0];
        const bool is_hit = slice.num_draft_tokens == 1 && slice.tokens.back() == 50;
        const std::int32_t next_draft_at = slice.first_position +
                                           static_cast<std::int32_t>(slice.tokens.size()) -
                                           slice.num_draft_tokens + (is_hit ? 1 : 0) + 1;
        scheduler.collect(answer(batch, {50, 50}, is_right(next_draft_at) ? 50 : 99));
    }
    return slices;
}

TEST(Speculation, RefusedDraftsAreAskedForNowAndThen) {
    Scheduler scheduler(options_of(4), {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 200)).has_value());
    const auto slices = run_to_end(scheduler, [](std::int32_t) { return false; });
    // Four until it closes; then those of steps 12, 29, 62, 95, 128, 161 and 194.
    EXPECT_EQ(scheduler.counters().num_drafts, 4 + 7);
    EXPECT_EQ(scheduler.counters().num_accepted_tokens, 0);
    std::int64_t num_asked = 0;
    std::int64_t num_ahead = 0;
    for (const SequenceSlice& slice : slices) {
        num_asked += slice.num_wanted_drafts;
        num_ahead += slice.tokens.back() == kTokenInFlight ? 1 : 0;
        EXPECT_FALSE(slice.num_wanted_drafts > 0 && slice.tokens.back() == kTokenInFlight);
    }
    EXPECT_LE(num_asked, scheduler.counters().num_drafts + 1);
    // Without a draft it is in two steps at a time, as it is without speculation.
    EXPECT_GT(num_ahead, 150);
}

TEST(Speculation, RightDraftsBringItBack) {
    Scheduler scheduler(options_of(4), {1, 16});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 400)).has_value());
    const auto slices = run_to_end(scheduler, [](std::int32_t at) { return at > 200; });
    std::int64_t num_late = 0;
    for (const SequenceSlice& slice : slices) num_late += slice.first_position > 240 ? 1 : 0;
    EXPECT_LT(num_late, (404 - 240) / 2 + 4);  // two tokens a step
    EXPECT_GT(scheduler.counters().num_accepted_tokens, 75);
}

TEST(Speculation, WithoutAGateEveryStepDrafts) {
    SchedulerOptions options = options_of(4);
    options.has_draft_gate = false;
    Scheduler scheduler(options, {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 100)).has_value());
    run_to_end(scheduler, [](std::int32_t) { return false; });
    EXPECT_GE(scheduler.counters().num_drafts, 95);  // but for the ends
}

TEST(Speculation, ASequenceIsInOneStepAtATime) {
    SchedulerOptions options = options_of(3);
    options.max_speculating = 2;
    Scheduler scheduler(options, {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    const StepBatch prompt = scheduler.plan();
    EXPECT_TRUE(scheduler.plan().slices.empty());
    // Another may be in the next step.
    ASSERT_TRUE(scheduler.add(spec_of(2, 4, 20)).has_value());
    const StepBatch other = scheduler.plan();
    ASSERT_EQ(other.slices.size(), 1U);
    EXPECT_EQ(other.slices[0].sequence, 2);
    scheduler.collect(answer(prompt, {50}, 51));
    const StepBatch draft = scheduler.plan();
    ASSERT_EQ(draft.slices.size(), 1U);
    EXPECT_EQ(draft.slices[0].num_draft_tokens, 1);
    // A third switches it off: who has no draft in flight runs ahead.
    ASSERT_TRUE(scheduler.add(spec_of(3, 4, 20)).has_value());
    const StepBatch mixed = scheduler.plan();
    ASSERT_EQ(mixed.slices.size(), 2U);
    EXPECT_EQ(mixed.slices[0].sequence, 2);
    EXPECT_EQ(mixed.slices[0].tokens, (Tokens{kTokenInFlight}));
    EXPECT_EQ(mixed.slices[1].sequence, 3);
    // The draft of the step before came too late for one that has run ahead.
    scheduler.collect(answer(other, {50}, 51));
    scheduler.collect(answer(draft, {51, 52}, 53));
    for (const SequenceSlice& slice : scheduler.plan().slices) EXPECT_EQ(slice.num_draft_tokens, 0);
}

TEST(Speculation, NobodyGivesWayToADraft) {
    SchedulerOptions options = options_of(3);
    options.has_prefix_cache = false;
    Scheduler scheduler(options, {1, 3});
    ASSERT_TRUE(scheduler.add(spec_of(1, kBlock - 1, 9)).has_value());
    scheduler.collect(answer(scheduler.plan(), {50}, 51));
    ASSERT_TRUE(scheduler.add(spec_of(2, kBlock - 1, 9)).has_value());
    const StepBatch first = scheduler.plan();  // the first takes the last block for its draft
    ASSERT_EQ(first.slices.size(), 2U);
    EXPECT_EQ(first.slices[0].num_draft_tokens, 1);
    EXPECT_EQ(scheduler.num_blocks_free(), 0);
    scheduler.collect(answer(first, {50}, 51));
    const StepBatch second = scheduler.plan();
    ASSERT_EQ(second.slices.size(), 2U);
    EXPECT_EQ(second.slices[1].sequence, 2);
    EXPECT_EQ(second.slices[1].num_draft_tokens, 0);
    EXPECT_EQ(second.slices[1].tokens.size(), 1U);
    EXPECT_EQ(scheduler.counters().num_preemptions, 0);
}

TEST(Speculation, APreemptedSequenceForgetsItsDraft) {
    SchedulerOptions options = options_of(2);
    options.has_prefix_cache = false;
    Scheduler scheduler(options, {1, 3});
    ASSERT_TRUE(scheduler.add(spec_of(1, kBlock - 1, 70)).has_value());
    ASSERT_TRUE(scheduler.add(spec_of(2, 3, 100)).has_value());  // its second block is not there
    std::size_t num_told = 0;
    bool was_away = false;
    for (int step = 0; step < 300 && !scheduler.is_idle(); ++step) {
        const StepBatch batch = scheduler.plan();
        was_away = was_away || (scheduler.counters().num_preemptions > 0 &&
                                batch.slices[0].sequence == 1 && batch.slices.size() == 1);
        for (const SequenceSlice& slice : batch.slices) {
            if (slice.sequence == 2 && slice.first_position == 0) {
                EXPECT_EQ(slice.num_draft_tokens, 0);
            }
        }
        for (const TokenEvent& event : scheduler.collect(answer(batch, {50, 50}, 99)))
            num_told += event.sequence == 2 ? 1U : 0U;
    }
    EXPECT_TRUE(was_away);
    EXPECT_EQ(num_told, 100U);
    EXPECT_TRUE(scheduler.is_idle());
    EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
}

TEST(Speculation, AnAbortWithADraftInFlightFreesItsBlocks) {
    for (const Tokens& sampled : {Tokens{51, 52}, Tokens{60}}) {
        Scheduler scheduler(options_of(4), {1, 8});
        ASSERT_TRUE(scheduler.add(spec_of(1, kBlock - 1, 20)).has_value());
        scheduler.collect(answer(scheduler.plan(), {50}, 51));
        const StepBatch batch = scheduler.plan();
        ASSERT_EQ(batch.slices.at(0).num_draft_tokens, 1);
        EXPECT_TRUE(scheduler.abort(1)->is_aborted);
        EXPECT_EQ(scheduler.num_blocks() - scheduler.num_blocks_free(), 2);
        EXPECT_TRUE(scheduler.collect(answer(batch, sampled, 53)).empty());
        EXPECT_TRUE(scheduler.is_idle());
        EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
    }
}

// The draft layer's row of a block's last position depends on the token after it.
TEST(Speculation, BlocksAreSharedWhenTheTokenAfterThemIsTheSameToo) {
    for (const bool is_on : {false, true}) {
        SchedulerOptions options = options_of(4);
        options.num_speculative_tokens = is_on ? 1 : 0;
        Scheduler scheduler(options, {1, 16});
        ASSERT_TRUE(scheduler.add(spec_of(1, 2 * kBlock + 5, 1)).has_value());
        scheduler.collect(answer(scheduler.plan(), {50}, 51));
        const auto first_of = [&](SequenceId id, std::size_t num_equal) {
            SequenceSpec spec = spec_of(id, num_equal, 1);
            spec.prompt.resize(2 * kBlock + 5, 4);
            EXPECT_TRUE(scheduler.add(spec).has_value());
            const StepBatch batch = scheduler.plan();
            scheduler.collect(answer(batch, {50}, 51));
            return static_cast<std::size_t>(batch.slices.at(0).first_position);
        };
        EXPECT_EQ(first_of(2, 2 * kBlock + 1), 2 * kBlock);
        EXPECT_EQ(first_of(3, 2 * kBlock), is_on ? kBlock : 2 * kBlock);
    }
}

TEST(Speculation, AChunkSaysWhichTokenFollows) {
    SchedulerOptions options = options_of(4);
    options.max_step_tokens = 10;
    Scheduler scheduler(options, {1, 8});
    SequenceSpec spec = spec_of(1, 12, 9);
    spec.prompt[10] = 77;
    ASSERT_TRUE(scheduler.add(spec).has_value());
    const StepBatch chunk = scheduler.plan();
    EXPECT_FALSE(chunk.slices.at(0).is_sampled);
    EXPECT_EQ(chunk.slices[0].num_wanted_drafts, 0);
    EXPECT_EQ(chunk.slices[0].next_token, 77);
    scheduler.collect(answer(chunk, {}, {}));
    EXPECT_EQ(scheduler.plan().slices.at(0).next_token, kTokenInFlight);
}

TEST(SpeculationDeathTest, WhatARunnerCannotHaveSampledIsABug) {
    Scheduler scheduler(options_of(4), {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    const StepBatch batch = scheduler.plan();
    const SampledToken sample{1, 4, 50, 0.0F};
    EXPECT_DEATH(scheduler.collect({batch.step, {sample, sample}}), "num_draft_tokens");
    EXPECT_DEATH(scheduler.collect({batch.step, {}}), "num_accepted");
    SampledToken stranger = sample;
    stranger.sequence = 9;
    EXPECT_DEATH(scheduler.collect({batch.step, {sample, stranger}}), "samples.end");
    SchedulerOptions many = options_of(4);
    many.num_speculative_tokens = limits::kMaxSpeculativeTokens + 1;
    EXPECT_DEATH(Scheduler(many, {1, 8}), "num_speculative_tokens");
}

}  // namespace
}  // namespace turnpike::engine
