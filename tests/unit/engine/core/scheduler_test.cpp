// What one step holds: rows of generating sequences before prompts, prompts in chunks, tokens in
// flight, and when blocks come back.
#include "engine/core/scheduler.h"

#include <gtest/gtest.h>

#include "config/base/limits.h"

namespace turnpike::engine {
namespace {

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
    constexpr auto kBlock = static_cast<std::size_t>(limits::kKvBlockTokens);
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 500}, {1, 4});
    ASSERT_TRUE(scheduler.add(spec_of(1, 2 * kBlock, 1)).has_value());  // three blocks
    ASSERT_TRUE(scheduler.add(spec_of(2, kBlock, 1)).has_value());      // two: must wait
    ASSERT_TRUE(scheduler.add(spec_of(3, 1, 1)).has_value());           // one: would fit
    const StepBatch first = scheduler.plan();
    ASSERT_EQ(first.slices.size(), 1U);
    EXPECT_EQ(scheduler.num_waiting(), 2);
    scheduler.collect(answer(first, 5));
    EXPECT_EQ(scheduler.plan().slices.size(), 2U);
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

}  // namespace
}  // namespace turnpike::engine
