// What one step holds: rows of generating sequences before prompts, prompts in chunks, tokens in
// flight, and when blocks come back.
#include "engine/core/scheduler.h"

#include <gtest/gtest.h>

#include <set>

#include "config/base/limits.h"

namespace turnpike::engine {
namespace {

constexpr auto kBlock = static_cast<std::size_t>(limits::kKvBlockTokens);

SequenceSpec spec_of(SequenceId id, std::size_t num_prompt, std::int32_t max_tokens) {
    SequenceSpec spec;
    spec.id = id;
    spec.prompt.assign(num_prompt, 3);
    spec.max_tokens = max_tokens;
    spec.stop_tokens = {1};
    return spec;
}

StepResult answer(const StepBatch& batch, TokenId token) {
    StepResult result{batch.step, {}};
    for (const SequenceSlice& slice : batch.slices) {
        const auto end = slice.first_position + static_cast<std::int32_t>(slice.tokens.size());
        if (slice.is_sampled) result.samples.push_back({slice.sequence, end, token, 0.0F});
    }
    return result;
}

TEST(Scheduler, CutsAPromptIntoChunksBesideGeneratedRows) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 10}, {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 20)).has_value());
    scheduler.collect(answer(scheduler.plan(), 5));
    ASSERT_TRUE(scheduler.add(spec_of(2, 20, 4)).has_value());

    const StepBatch first = scheduler.plan();
    ASSERT_EQ(first.slices.size(), 2U);
    EXPECT_EQ(first.slices[0].tokens, std::vector<TokenId>{5});
    EXPECT_EQ(first.slices[0].first_position, 4);
    EXPECT_EQ(first.slices[1].tokens.size(), 9U);  // the rest of the budget
    EXPECT_FALSE(first.slices[1].is_sampled);
    scheduler.collect(answer(first, 5));

    const StepBatch second = scheduler.plan();
    EXPECT_EQ(second.slices[1].first_position, 9);
    EXPECT_FALSE(second.slices[1].is_sampled);
    scheduler.collect(answer(second, 5));

    const StepBatch third = scheduler.plan();
    EXPECT_EQ(third.slices[1].tokens.size(), 2U);
    EXPECT_TRUE(third.slices[1].is_sampled);
    EXPECT_EQ(third.slices[1].num_prompt_tokens, 20);
}

TEST(Scheduler, PlansAheadWithTokensInFlight) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 10}, {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 3)).has_value());
    const StepBatch first = scheduler.plan();
    const StepBatch second = scheduler.plan();
    EXPECT_EQ(second.slices[0].tokens, std::vector<TokenId>{kTokenInFlight});
    // The token that ends it comes while a step that goes on is planned already: that sample is
    // dropped, and the blocks come back only after it.
    const auto events = scheduler.collect(answer(first, 1));
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].finish_reason, FinishReason::kStop);
    EXPECT_LT(scheduler.num_blocks_free(), scheduler.num_blocks());
    EXPECT_TRUE(scheduler.plan().slices.empty());
    EXPECT_TRUE(scheduler.collect(answer(second, 9)).empty());
    EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
    EXPECT_TRUE(scheduler.is_idle());
}

TEST(Scheduler, PlansNoMoreTokensThanAskedFor) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 10}, {1, 8});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 2)).has_value());
    const StepBatch first = scheduler.plan();
    const StepBatch second = scheduler.plan();
    EXPECT_TRUE(scheduler.plan().slices.empty());
    EXPECT_FALSE(scheduler.collect(answer(first, 5))[0].is_last());
    EXPECT_EQ(scheduler.collect(answer(second, 5))[0].finish_reason, FinishReason::kLength);
    EXPECT_TRUE(scheduler.is_idle());
}

TEST(Scheduler, TheOldestWaitsForRoomAndNobodyOvertakesIt) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 500}, {1, 4});
    ASSERT_TRUE(scheduler.add(spec_of(1, 3 * kBlock, 1)).has_value());  // three blocks
    SequenceSpec second = spec_of(2, 2 * kBlock, 1);                    // two: must wait
    second.cache_salt = "other";
    ASSERT_TRUE(scheduler.add(second).has_value());
    ASSERT_TRUE(scheduler.add(spec_of(3, 1, 1)).has_value());  // one: would fit
    const StepBatch first = scheduler.plan();
    ASSERT_EQ(first.slices.size(), 1U);
    EXPECT_EQ(scheduler.num_waiting(), 2);
    scheduler.collect(answer(first, 5));
    EXPECT_EQ(scheduler.plan().slices.size(), 2U);
}

TEST(Scheduler, APromptSeenBeforeIsTakenFromTheCache) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 500}, {1, 16});
    ASSERT_TRUE(scheduler.add(spec_of(1, 2 * kBlock + 5, 1)).has_value());
    EXPECT_EQ(scheduler.collect(answer(scheduler.plan(), 5)).at(0).num_cached_tokens, 0);
    ASSERT_TRUE(scheduler.add(spec_of(2, 2 * kBlock + 5, 1)).has_value());
    const StepBatch again = scheduler.plan();
    EXPECT_EQ(again.slices.at(0).first_position, 2 * limits::kKvBlockTokens);
    EXPECT_EQ(again.slices[0].tokens.size(), 5U);
    EXPECT_EQ(scheduler.collect(answer(again, 5)).at(0).num_cached_tokens,
              2 * limits::kKvBlockTokens);
    SequenceSpec other = spec_of(3, 2 * kBlock + 5, 1);
    other.cache_salt = "another tenant";
    ASSERT_TRUE(scheduler.add(other).has_value());
    EXPECT_EQ(scheduler.plan().slices.at(0).first_position, 0);
    EXPECT_EQ(scheduler.counters().num_cache_hit_tokens, 2 * limits::kKvBlockTokens);
}

TEST(Scheduler, TheLastRowOfAPromptIsAlwaysComputed) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 500}, {1, 16});
    ASSERT_TRUE(scheduler.add(spec_of(1, 2 * kBlock, 1)).has_value());
    scheduler.collect(answer(scheduler.plan(), 5));
    ASSERT_TRUE(scheduler.add(spec_of(2, 2 * kBlock, 1)).has_value());
    const StepBatch again = scheduler.plan();
    EXPECT_EQ(again.slices.at(0).first_position, limits::kKvBlockTokens);
    EXPECT_TRUE(again.slices[0].is_sampled);
}

TEST(Scheduler, ChoicesOfOnePromptWaitForTheFirstToComputeIt) {
    Scheduler scheduler({.max_running = 8, .max_waiting = 8, .max_step_tokens = 500}, {1, 16});
    for (SequenceId id = 1; id <= 3; ++id)
        ASSERT_TRUE(scheduler.add(spec_of(id, 2 * kBlock + 1, 9)).has_value());
    ASSERT_TRUE(scheduler.add(spec_of(4, 3, 9)).has_value());  // shares nothing: need not wait
    const StepBatch first = scheduler.plan();
    ASSERT_EQ(first.slices.size(), 2U);
    EXPECT_EQ(first.slices[0].sequence + first.slices[1].sequence, 5);
    scheduler.collect(answer(first, 5));
    const StepBatch second = scheduler.plan();
    ASSERT_EQ(second.slices.size(), 4U);
    for (const SequenceSlice& slice : second.slices) EXPECT_EQ(slice.tokens.size(), 1U);
}

TEST(Scheduler, WithoutRoomTheLastGivesWayAndRunsAgain) {
    Scheduler scheduler({.max_running = 2, .max_waiting = 8, .max_step_tokens = 500}, {1, 3});
    ASSERT_TRUE(scheduler.add(spec_of(1, kBlock - 1, 70)).has_value());
    ASSERT_TRUE(scheduler.add(spec_of(2, 3, 100)).has_value());
    std::vector<TokenId> told;
    bool is_first_over = false;
    for (int step = 0; step < 300 && !scheduler.is_idle(); ++step) {
        const StepBatch batch = scheduler.plan();
        for (const SequenceSlice& slice : batch.slices) {
            if (slice.sequence == 1) continue;
            // When it runs again, its own tokens are rows of the absorbed form, not of the prompt.
            EXPECT_EQ(slice.num_prompt_tokens, 3);
        }
        for (const TokenEvent& event : scheduler.collect(answer(batch, 100 + step))) {
            if (event.sequence == 2) told.push_back(event.token.value());
            if (event.sequence == 1 && event.is_last()) is_first_over = true;
        }
    }
    EXPECT_TRUE(is_first_over);
    EXPECT_EQ(told.size(), 100U);
    EXPECT_EQ(std::set<TokenId>(told.begin(), told.end()).size(), 100U) << "a token told twice";
    EXPECT_EQ(scheduler.counters().num_preemptions, 1);
}

TEST(Scheduler, UrgentOnesRunFirst) {
    Scheduler scheduler({.max_running = 1, .max_waiting = 8, .max_step_tokens = 500}, {1, 3});
    ASSERT_TRUE(scheduler.add(spec_of(1, 3, 1)).has_value());
    SequenceSpec urgent = spec_of(2, 3, 1);
    urgent.priority = -1;
    ASSERT_TRUE(scheduler.add(urgent).has_value());
    EXPECT_EQ(scheduler.plan().slices.at(0).sequence, 2);
}

TEST(Scheduler, SequencesGoToTheRoomiestPool) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 100}, {2, 4});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 4)).has_value());
    ASSERT_TRUE(scheduler.add(spec_of(2, 4, 4)).has_value());
    const StepBatch batch = scheduler.plan();
    ASSERT_EQ(batch.slices.size(), 2U);
    EXPECT_NE(batch.slices[0].pool_index, batch.slices[1].pool_index);
}

TEST(Scheduler, AbortsTheWaitingTheRunningAndTheUnknown) {
    Scheduler scheduler({.max_running = 1, .max_waiting = 8, .max_step_tokens = 100}, {1, 4});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 9)).has_value());
    ASSERT_TRUE(scheduler.add(spec_of(2, 4, 9)).has_value());
    const StepBatch batch = scheduler.plan();
    EXPECT_TRUE(scheduler.abort(2)->is_aborted);
    EXPECT_TRUE(scheduler.abort(1)->is_aborted);
    EXPECT_FALSE(scheduler.abort(1).has_value());
    EXPECT_FALSE(scheduler.abort(3).has_value());
    EXPECT_TRUE(scheduler.plan().slices.empty());
    EXPECT_TRUE(scheduler.collect(answer(batch, 5)).empty());
    EXPECT_TRUE(scheduler.is_idle());
    EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
}

TEST(Scheduler, RefusesWhatCanNeverFitAndAFullQueue) {
    Scheduler scheduler({.max_running = 1, .max_waiting = 1, .max_step_tokens = 8}, {1, 2});
    SequenceSpec spec;
    spec.id = 1;
    spec.prompt = {3};
    spec.max_tokens = 2 * limits::kKvBlockTokens;
    EXPECT_EQ(scheduler.add(spec).error().code, ErrorCode::kContextLengthExceeded);
    spec.max_tokens = 4;
    EXPECT_TRUE(scheduler.add(spec).has_value());
    spec.id = 2;
    EXPECT_EQ(scheduler.add(spec).error().code, ErrorCode::kUnavailable);
}

TEST(Scheduler, PenaltiesBringTheTokensSoFar) {
    Scheduler scheduler({.max_running = 2, .max_waiting = 2, .max_step_tokens = 8}, {1, 4});
    SequenceSpec spec;
    spec.id = 1;
    spec.prompt = {3, 4, 3};
    spec.max_tokens = 4;
    SequenceSpec other = spec;
    other.id = 2;
    spec.sampling.presence_penalty = 1.0F;
    ASSERT_TRUE(scheduler.add(spec).has_value());
    ASSERT_TRUE(scheduler.add(other).has_value());
    using Seen = std::vector<std::pair<TokenId, std::int32_t>>;
    const auto seen_after = [&](TokenId token) {
        const StepBatch batch = scheduler.plan();
        EXPECT_TRUE(batch.slices.at(1).seen.empty());  // without penalties nothing is kept
        Seen seen;
        for (const SeenToken& entry : batch.slices.at(0).seen)
            seen.emplace_back(entry.token, entry.num_generated);
        const SampledToken sample{1, 0, token, -0.5F, {{9, -0.25F}}};
        const auto events =
            scheduler.collect({batch.step, {sample, SampledToken{2, 0, 5, 0.0F, {}}}});
        EXPECT_EQ(events.at(0).logprob, -0.5F);
        EXPECT_EQ(events.at(0).alternatives.at(0).token, 9);
        return seen;
    };
    EXPECT_EQ(seen_after(4), (Seen{{3, 0}, {4, 0}}));
    EXPECT_EQ(seen_after(8), (Seen{{3, 0}, {4, 1}}));
    EXPECT_EQ(seen_after(8), (Seen{{3, 0}, {4, 1}, {8, 1}}));
    EXPECT_EQ(seen_after(1), (Seen{{3, 0}, {4, 1}, {8, 2}}));
}

}  // namespace
}  // namespace turnpike::engine
