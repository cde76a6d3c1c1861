// Sequences that want their prompt's logprobs, and such that must not end too early, over a runner
// without tensors.
#include <gtest/gtest.h>

#include <algorithm>

#include "config/base/limits.h"
#include "engine/core/scheduler.h"
#include "tests/support/fake_runner.h"

namespace turnpike::engine {
namespace {

constexpr auto kBlock = static_cast<std::size_t>(limits::kKvBlockTokens);
constexpr TokenId kStop = 1;

SequenceSpec spec_of(SequenceId id, std::size_t num_prompt, std::int32_t max_tokens) {
    SequenceSpec spec;
    spec.id = id;
    for (std::size_t i = 0; i < num_prompt; ++i)
        spec.prompt.push_back(static_cast<TokenId>(100 + i));
    spec.max_tokens = max_tokens;
    spec.stop_tokens = {kStop};
    return spec;
}

// What the sequences' events said, in order.
struct Told {
    std::map<SequenceId, std::vector<SampledToken>> prompts;
    std::map<SequenceId, std::vector<TokenId>> tokens;
    std::size_t most_rows = 0;  // of one slice
};

// Every sampled token is a seven.
StepResult answer(const StepBatch& batch) {
    StepResult result{batch.step, {}};
    for (const SequenceSlice& slice : batch.slices) {
        const auto end = slice.first_position + static_cast<std::int32_t>(slice.tokens.size());
        if (slice.tells_prompt) test::FakeRunner::tell_prompt(slice, result);
        if (slice.is_sampled) result.samples.push_back({slice.sequence, end, 7, 0.0F});
    }
    return result;
}

Told run(Scheduler& scheduler) {
    Told told;
    while (!scheduler.is_idle()) {
        const StepBatch batch = scheduler.plan();
        for (const SequenceSlice& slice : batch.slices)
            told.most_rows = std::max(told.most_rows, slice.tokens.size());
        for (const TokenEvent& event : scheduler.collect(answer(batch))) {
            auto& prompt = told.prompts[event.sequence];
            prompt.insert(prompt.end(), event.prompt_tokens.begin(), event.prompt_tokens.end());
            EXPECT_NE(event.token.has_value(), !event.prompt_tokens.empty());
            if (event.token) told.tokens[event.sequence].push_back(*event.token);
        }
    }
    EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
    return told;
}

void expect_whole_prompt(const std::vector<SampledToken>& told, std::size_t num_prompt) {
    ASSERT_EQ(told.size(), num_prompt - 1);  // the first token follows nothing
    for (std::size_t i = 0; i < told.size(); ++i) {
        EXPECT_EQ(told[i].position, static_cast<std::int32_t>(i + 1));
        EXPECT_EQ(told[i].token, static_cast<TokenId>(101 + i));
        EXPECT_EQ(told[i].logprob, -static_cast<float>(i + 1));
    }
}

TEST(PromptLogprobs, EachTokenOnceWhateverTheCacheHolds) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 500}, {1, 16});
    const std::size_t num_prompt = 3 * kBlock + 5;
    ASSERT_TRUE(scheduler.add(spec_of(1, num_prompt, 2)));
    run(scheduler);
    SequenceSpec again = spec_of(2, num_prompt, 3);
    again.wants_prompt_logprobs = true;
    ASSERT_TRUE(scheduler.add(std::move(again)));
    ASSERT_TRUE(scheduler.add(spec_of(3, num_prompt, 2)));
    const Told told = run(scheduler);
    expect_whole_prompt(told.prompts.at(2), num_prompt);
    EXPECT_LE(told.most_rows, kBlock);  // logits of so many rows at a time
    EXPECT_TRUE(told.prompts.at(3).empty());
    EXPECT_EQ(told.tokens.at(2), (std::vector<TokenId>{7, 7, 7}));
    EXPECT_EQ(scheduler.counters().num_cache_hit_tokens, static_cast<std::int64_t>(3 * kBlock));
}

TEST(PromptLogprobs, APromptOfOneTokenHasNone) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 500}, {1, 16});
    SequenceSpec one = spec_of(1, 1, 2);
    one.wants_prompt_logprobs = true;
    ASSERT_TRUE(scheduler.add(std::move(one)));
    const Told told = run(scheduler);
    EXPECT_TRUE(told.prompts.at(1).empty());
    EXPECT_EQ(told.tokens.at(1).size(), 2U);
}

// Three grow in a pool that holds two: somebody gives way and computes its prompt again.
TEST(PromptLogprobs, APreemptionTellsNothingTwice) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 500}, {1, 6});
    for (SequenceId id = 1; id <= 3; ++id) {
        SequenceSpec spec = spec_of(id, kBlock - 4, static_cast<std::int32_t>(2 * kBlock));
        spec.wants_prompt_logprobs = true;
        ASSERT_TRUE(scheduler.add(std::move(spec)));
    }
    const Told told = run(scheduler);
    EXPECT_GT(scheduler.counters().num_preemptions, 0);
    for (SequenceId id = 1; id <= 3; ++id) expect_whole_prompt(told.prompts.at(id), kBlock - 4);
}

bool is_stop_forbidden(const SequenceSlice& slice) {
    const auto& forbidden = slice.forbidden_tokens;
    return std::find(forbidden.begin(), forbidden.end(), kStop) != forbidden.end();
}

TEST(MinTokens, StopTokensAreForbiddenUntilThen) {
    Scheduler scheduler({.max_running = 4, .max_waiting = 8, .max_step_tokens = 500}, {1, 16});
    SequenceSpec spec = spec_of(1, 4, 10);
    spec.min_tokens = 3;
    spec.sampling.logit_bias = {{kStop, 100.0F}, {9, 1.0F}};
    ASSERT_TRUE(scheduler.add(std::move(spec)));
    std::vector<bool> forbidden;
    for (int i = 0; i < 5; ++i) {
        const StepBatch batch = scheduler.plan();
        const SequenceSlice& slice = batch.slices.at(0);
        forbidden.push_back(is_stop_forbidden(slice));
        EXPECT_EQ(slice.sampling->logit_bias.at(9), 1.0F);
        const auto end = slice.first_position + static_cast<std::int32_t>(slice.tokens.size());
        StepResult result{batch.step, {{1, end, 7, 0.0F}}};
        scheduler.collect(result);
    }
    EXPECT_EQ(forbidden, (std::vector<bool>{true, true, true, false, false}));
}

// Both samples of a step with a draft are made alike, so none spans the border.
TEST(MinTokens, NoDraftWhereTheStopTokensComeBack) {
    Scheduler scheduler(
        {.max_running = 4, .max_waiting = 8, .max_step_tokens = 500, .num_speculative_tokens = 1},
        {1, 16});
    SequenceSpec spec = spec_of(1, 4, 10);
    spec.min_tokens = 2;
    ASSERT_TRUE(scheduler.add(std::move(spec)));
    std::vector<std::int32_t> num_drafts;
    std::vector<bool> forbidden;
    for (int i = 0; i < 4; ++i) {
        const StepBatch batch = scheduler.plan();
        const SequenceSlice& slice = batch.slices.at(0);
        num_drafts.push_back(slice.num_draft_tokens);
        forbidden.push_back(is_stop_forbidden(slice));
        const auto position = slice.first_position +
                              static_cast<std::int32_t>(slice.tokens.size()) -
                              slice.num_draft_tokens;
        StepResult result{batch.step, {{1, position, 7, 0.0F}}};  // the draft, 8, is wrong
        result.samples.back().drafts = {8};
        scheduler.collect(result);
    }
    EXPECT_EQ(num_drafts, (std::vector<std::int32_t>{0, 0, 1, 1}));
    EXPECT_EQ(forbidden, (std::vector<bool>{true, true, false, false}));
}

TEST(Scheduler, TellsWhoBegan) {
    Scheduler scheduler({.max_running = 1, .max_waiting = 8, .max_step_tokens = 500}, {1, 16});
    ASSERT_TRUE(scheduler.add(spec_of(1, 4, 1)));
    ASSERT_TRUE(scheduler.add(spec_of(2, 4, 1)));
    EXPECT_TRUE(scheduler.take_begun().empty());
    StepBatch batch = scheduler.plan();
    EXPECT_EQ(scheduler.take_begun(), std::vector<SequenceId>{1});
    EXPECT_TRUE(scheduler.take_begun().empty());
    scheduler.collect({batch.step, {{1, 4, 7, 0.0F}}});
    batch = scheduler.plan();
    EXPECT_EQ(scheduler.take_begun(), std::vector<SequenceId>{2});
}

}  // namespace
}  // namespace turnpike::engine
