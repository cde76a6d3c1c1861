// The Runner: the same request gives the same tokens and logprobs bit for bit, whatever runs beside
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "engine/core/batch.h"
#include "engine/model/load.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

constexpr std::int32_t kPromptTokens = 90;  // beyond one block
constexpr int kGenerated = 6;
constexpr std::int64_t kCacheTokens = 64 * 64;

struct Request {
    SequenceId sequence = 1;
    std::int32_t num_prompt = kPromptTokens;
    SamplingParams sampling;
    std::int32_t choice_index = 0;
    std::vector<BlockId> blocks{0, 1};

    std::vector<TokenId> prompt() const {
        std::vector<TokenId> tokens;
        for (std::int32_t i = 0; i < num_prompt; ++i) {
            tokens.push_back(static_cast<TokenId>((i * 31 + 7 * sequence) % 290 + 2));
        }
        return tokens;
    }

    SequenceSlice slice(std::vector<TokenId> tokens,
                        std::int32_t first_position,
                        bool is_sampled) const {
        SequenceSlice slice;
        slice.sequence = sequence;
        slice.tokens = std::move(tokens);
        slice.first_position = first_position;
        slice.num_prompt_tokens = num_prompt;
        slice.block_table = blocks;
        slice.is_sampled = is_sampled;
        slice.choice_index = choice_index;
        slice.sampling = &sampling;  // of a request that outlives the step
        return slice;
    }
};

bool operator_equal(const SampledToken& a, const SampledToken& b) {
    return a.token == b.token && a.position == b.position && a.logprob == b.logprob;
}

class ModelRunnerTest : public testing::Test {
  protected:
    std::string model_dir() const { return model_.dir(); }

    std::unique_ptr<Runner> make_runner(int num_threads = 1, bool with_draft_layer = false) {
        RunnerOptions options;
        options.model_dir = model_.dir();
        options.kv_tokens = kCacheTokens;
        options.num_threads = num_threads;
        options.num_tokens = 290;
        options.with_draft_layer = with_draft_layer;
        auto runner = load_runner(options);
        EXPECT_TRUE(runner);
        return std::move(*runner);
    }

    static Request sampled_request() {
        Request request;
        request.sampling.temperature = 0.8F;
        request.sampling.top_p = 0.9F;
        request.sampling.seed = 77;
        return request;
    }

    static StepResult step(Runner& runner, std::vector<SequenceSlice> slices) {
        StepBatch batch;
        batch.step = ++step_number();
        batch.slices = std::move(slices);
        runner.submit(batch);
        StepResult result = runner.collect();
        EXPECT_EQ(result.step, batch.step);
        return result;
    }

    // The request on its own, its prompt in chunks of the given sizes and then the rest.
    static std::vector<SampledToken> run_alone(Runner& runner,
                                               const Request& request,
                                               const std::vector<std::int32_t>& chunks = {}) {
        const std::vector<TokenId> prompt = request.prompt();
        std::vector<SampledToken> samples;
        std::int32_t position = 0;
        const auto feed = [&](std::int32_t end, bool is_sampled) {
            const StepResult result =
                step(runner, {request.slice({prompt.begin() + position, prompt.begin() + end},
                                            position, is_sampled)});
            samples.insert(samples.end(), result.samples.begin(), result.samples.end());
            position = end;
        };
        for (const std::int32_t chunk : chunks) feed(position + chunk, false);
        feed(request.num_prompt, true);
        generate(runner, request, samples);
        return samples;
    }

    std::vector<TokenId> prompt_and_answer(const Request& request) {
        std::vector<TokenId> tokens = request.prompt();
        for (const SampledToken& sample : run_alone(*make_runner(), request))
            tokens.push_back(sample.token);
        return tokens;
    }

    static void generate(Runner& runner,
                         const Request& request,
                         std::vector<SampledToken>& samples) {
        while (samples.size() < kGenerated) {
            const SampledToken last = samples.back();
            samples.push_back(
                step(runner, {request.slice({last.token}, last.position, true)}).samples.at(0));
        }
    }

    static void expect_equal(const std::vector<SampledToken>& a,
                             const std::vector<SampledToken>& b) {
        ASSERT_EQ(a.size(), b.size());
        for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(operator_equal(a[i], b[i])) << i;
    }

  private:
    static std::int64_t& step_number() {
        static std::int64_t number = 0;
        return number;
    }

    SmallModel model_;
};

// The likeliest token after each following one, by the draft layer over the whole sequence at once.
std::vector<TokenId> drafts_of(const std::string& model_dir,
                               const std::vector<TokenId>& tokens,
                               std::int64_t num_prompt_rows) {
    RunnerOptions options;
    options.model_dir = model_dir;
    const auto logits = compute_draft_logits(options, tokens, num_prompt_rows);
    EXPECT_TRUE(logits);
    const std::size_t vocab = logits->size() / (tokens.size() - 1);
    std::vector<TokenId> drafts;
    for (std::size_t row = 0; row + 1 < tokens.size(); ++row) {
        const float* values = logits->data() + row * vocab;
        drafts.push_back(static_cast<TokenId>(std::max_element(values, values + 290) - values));
    }
    return drafts;
}

// Verification hides what a draft is, so it is looked at here: after chunks, after a draft that was
// right and after one that was not.
TEST_F(ModelRunnerTest, DraftsAreTheDraftLayersOwn) {
    const auto runner = make_runner(1, true);
    Request request;
    request.sampling.temperature = 0.0F;
    const std::vector<TokenId> tokens = prompt_and_answer(request);
    const auto at = [&](std::int32_t position) {
        return tokens[static_cast<std::size_t>(position)];
    };
    const auto drafts = drafts_of(model_dir(), tokens, kPromptTokens);

    SequenceSlice chunk = request.slice({tokens.begin(), tokens.begin() + 40}, 0, false);
    chunk.next_token = at(40);
    EXPECT_TRUE(step(*runner, {chunk}).samples.empty());
    SequenceSlice rest =
        request.slice({tokens.begin() + 40, tokens.begin() + kPromptTokens}, 40, true);
    rest.num_wanted_drafts = 1;
    const auto first = step(*runner, {rest}).samples;
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first[0].drafts, std::vector<TokenId>{drafts.at(kPromptTokens - 1)});

    std::int32_t next = kPromptTokens;
    const auto check = [&](TokenId draft, std::size_t num_samples) {
        SequenceSlice slice = request.slice({at(next), draft}, next, true);
        slice.num_draft_tokens = 1;
        slice.num_wanted_drafts = 1;
        const auto samples = step(*runner, {slice}).samples;
        ASSERT_EQ(samples.size(), num_samples);
        for (const SampledToken& sample : samples) {
            EXPECT_EQ(sample.position, ++next);
            EXPECT_EQ(sample.token, at(next));
        }
        EXPECT_EQ(samples.back().drafts,
                  std::vector<TokenId>{drafts.at(static_cast<std::size_t>(next) - 1)});
    };
    check(at(next + 1), 2);
    check(at(next + 1) + 1, 1);
    check(at(next + 1), 2);
}

// Steps that want no draft write the draft layer's keys all the same: the next draft is what it
// would have been.
TEST_F(ModelRunnerTest, RowsWithoutADraftLeaveNoHole) {
    const auto runner = make_runner(1, true);
    Request request;
    request.sampling.temperature = 0.0F;
    const std::vector<TokenId> tokens = prompt_and_answer(request);
    const auto drafts = drafts_of(model_dir(), tokens, kPromptTokens);
    const auto at = [&](std::int32_t position) {
        return tokens[static_cast<std::size_t>(position)];
    };
    EXPECT_TRUE(
        step(*runner, {request.slice(request.prompt(), 0, true)}).samples.at(0).drafts.empty());
    for (std::int32_t position = kPromptTokens; position < kPromptTokens + 4; ++position) {
        SequenceSlice slice = request.slice({at(position)}, position, true);
        slice.num_wanted_drafts = position == kPromptTokens + 3 ? 1 : 0;
        const SampledToken sample = step(*runner, {slice}).samples.at(0);
        EXPECT_EQ(sample.token, at(position + 1));
        ASSERT_EQ(sample.drafts.size(), static_cast<std::size_t>(slice.num_wanted_drafts));
        if (!sample.drafts.empty()) {
            EXPECT_EQ(sample.drafts[0], drafts.at(static_cast<std::size_t>(position)));
        }
    }
}

// The first draft is the layer's own; what follows is the same on any number of threads, and the
// keys that it guessed are gone when the next step drafts.
TEST_F(ModelRunnerTest, DraftsAfterDraftsLeaveNoTrace) {
    Request request;
    request.sampling.temperature = 0.0F;
    const std::vector<TokenId> tokens = prompt_and_answer(request);
    const auto first_drafts = drafts_of(model_dir(), tokens, kPromptTokens);
    std::vector<std::vector<TokenId>> seen;
    for (const int num_threads : {1, 2}) {
        const auto runner = make_runner(num_threads, true);
        std::size_t index = 0;
        const auto check = [&](SequenceSlice slice, std::int32_t last) {
            slice.num_wanted_drafts = 4;
            const auto samples = step(*runner, {slice}).samples;
            ASSERT_FALSE(samples.empty());
            const std::vector<TokenId>& drafts = samples.back().drafts;
            ASSERT_EQ(drafts.size(), 4U);
            EXPECT_EQ(drafts[0], first_drafts.at(static_cast<std::size_t>(last)));
            if (num_threads == 1) seen.push_back(drafts);
            EXPECT_EQ(drafts, seen.at(index++));
        };
        check(request.slice(request.prompt(), 0, true), kPromptTokens - 1);
        for (std::int32_t next = kPromptTokens; next < kPromptTokens + 4; ++next) {
            check(request.slice({tokens[static_cast<std::size_t>(next)]}, next, true), next);
        }
    }
}

TEST_F(ModelRunnerTest, ForbiddenTokensAreNotSampledWhateverTheirBias) {
    const auto runner = make_runner();
    Request request;
    request.sampling.temperature = 0.0F;
    request.sampling.logit_bias = {{7, 100.0F}, {9, 90.0F}};
    SequenceSlice slice = request.slice(request.prompt(), 0, true);
    EXPECT_EQ(step(*runner, {slice}).samples.at(0).token, 7);
    const std::vector<TokenId> forbidden = {7, 11, 7};
    slice.forbidden_tokens = forbidden;
    EXPECT_EQ(step(*runner, {slice}).samples.at(0).token, 9);
}

TEST_F(ModelRunnerTest, SamplesFollowThePrompt) {
    const auto runner = make_runner();
    const auto samples = run_alone(*runner, sampled_request());
    ASSERT_EQ(samples.size(), static_cast<std::size_t>(kGenerated));
    for (int i = 0; i < kGenerated; ++i) {
        EXPECT_EQ(samples[static_cast<std::size_t>(i)].position, kPromptTokens + i);
        EXPECT_LT(samples[static_cast<std::size_t>(i)].token, 290);
        EXPECT_LT(samples[static_cast<std::size_t>(i)].logprob, 0.0F);
    }
}

TEST_F(ModelRunnerTest, ChunksBlocksAndThreadsDoNotMatter) {
    const auto runner = make_runner();
    const Request request = sampled_request();
    const auto expected = run_alone(*runner, request);
    expect_equal(run_alone(*runner, request, {1, 63, 1}), expected);
    expect_equal(run_alone(*runner, request, {17, 17, 17, 17, 17}), expected);
    Request elsewhere = request;
    elsewhere.blocks = {40, 3};
    expect_equal(run_alone(*runner, elsewhere), expected);
    expect_equal(run_alone(*make_runner(4), request), expected);
}

// Seventeen sequences of different lengths, prompt chunks and generated rows mixed in each step.
TEST_F(ModelRunnerTest, TheBatchDoesNotMatter) {
    const auto runner = make_runner();
    std::vector<Request> requests;
    std::vector<std::vector<SampledToken>> expected;
    for (int i = 0; i < 17; ++i) {
        Request request = sampled_request();
        request.sequence = i + 1;
        request.num_prompt = kPromptTokens - 5 * i;
        request.blocks = {static_cast<BlockId>(2 * i + 1), static_cast<BlockId>(2 * i)};
        requests.push_back(request);
        expected.push_back(run_alone(*runner, request));
    }
    std::vector<std::vector<SampledToken>> together(requests.size());
    const auto next_slice = [&](std::size_t i, int round) {
        const Request& request = requests[i];
        if (!together[i].empty()) {
            return request.slice({together[i].back().token}, together[i].back().position, true);
        }
        const std::vector<TokenId> prompt = request.prompt();
        const std::int32_t half = request.num_prompt / 2;
        return round == 0 ? request.slice({prompt.begin(), prompt.begin() + half}, 0, false)
                          : request.slice({prompt.begin() + half, prompt.end()}, half, true);
    };
    // Every second request starts one step late, so that steps mix both kinds of rows.
    for (int round = 0; round <= kGenerated + 1; ++round) {
        std::vector<SequenceSlice> slices;
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const int own_round = round - static_cast<int>(i % 2);
            if (own_round < 0 || together[i].size() == kGenerated) continue;
            slices.push_back(next_slice(i, own_round));
        }
        for (const SampledToken& sample : step(*runner, slices).samples) {
            together[static_cast<std::size_t>(sample.sequence - 1)].push_back(sample);
        }
    }
    for (std::size_t i = 0; i < requests.size(); ++i) expect_equal(together[i], expected[i]);
}

// After a preemption, generated rows come again as one chunk: absorbed as before, so the bits stay.
TEST_F(ModelRunnerTest, RecomputedRowsGiveTheSameBits) {
    const auto runner = make_runner();
    const Request request = sampled_request();
    const auto expected = run_alone(*runner, request);
    std::vector<TokenId> tokens = request.prompt();
    for (int i = 0; i < 3; ++i) tokens.push_back(expected[static_cast<std::size_t>(i)].token);
    Request again = request;
    again.blocks = {9, 8};
    std::vector<SampledToken> samples(expected.begin(), expected.begin() + 3);
    samples.push_back(step(*runner, {again.slice(tokens, 0, true)}).samples.at(0));
    generate(*runner, again, samples);
    expect_equal(samples, expected);
}

TEST_F(ModelRunnerTest, GreedyIgnoresTheSeedAndChoicesDiffer) {
    const auto runner = make_runner();
    Request greedy;
    greedy.sampling.temperature = 0.0F;
    const auto expected = run_alone(*runner, greedy);
    greedy.sampling.seed = 5;
    greedy.choice_index = 3;
    expect_equal(run_alone(*runner, greedy), expected);

    Request request = sampled_request();
    request.sampling.top_p = 1.0F;
    const auto first = run_alone(*runner, request);
    request.choice_index = 1;
    const auto second = run_alone(*runner, request);
    const bool is_same = std::equal(first.begin(), first.end(), second.begin(), operator_equal);
    EXPECT_FALSE(is_same);
}

TEST_F(ModelRunnerTest, ARowInFlightIsTheLastSample) {
    const auto runner = make_runner();
    const Request request = sampled_request();
    const auto expected = run_alone(*runner, request);
    const auto first = step(*runner, {request.slice(request.prompt(), 0, true)}).samples.at(0);
    EXPECT_TRUE(operator_equal(first, expected[0]));
    const auto second = step(*runner, {request.slice({kTokenInFlight}, kPromptTokens, true)});
    EXPECT_TRUE(operator_equal(second.samples.at(0), expected[1]));
}

TEST_F(ModelRunnerTest, BiasAndMaskDecideTheToken) {
    const auto runner = make_runner();
    Request request = sampled_request();
    request.sampling.logit_bias[211] = 100.0F;
    EXPECT_EQ(step(*runner, {request.slice({5}, 0, true)}).samples.at(0).token, 211);
    const Request masked = sampled_request();
    SequenceSlice slice = masked.slice({5}, 0, true);
    slice.allowed_tokens.assign(10, 0);
    slice.allowed_tokens[123 / 32] = 1U << (123 % 32);
    EXPECT_EQ(step(*runner, {slice}).samples.at(0).token, 123);
}

// In two chunks, the second of which is sampled.
TEST_F(ModelRunnerTest, APromptsLogprobsAreThoseOfItsLogits) {
    constexpr std::int32_t kRows = 70;
    const auto runner = make_runner();
    Request request;
    request.num_prompt = kRows;
    request.sampling.num_alternatives = 3;
    const std::vector<TokenId> prompt = request.prompt();
    RunnerOptions options;
    options.model_dir = model_dir();
    options.kv_tokens = kCacheTokens;
    const auto logits = compute_logits(options, prompt, kRows);
    ASSERT_TRUE(logits);
    const std::size_t width = logits->size() / kRows;

    SequenceSlice first = request.slice({prompt.begin(), prompt.begin() + 40}, 0, false);
    first.next_token = prompt[40];
    first.tells_prompt = true;
    SequenceSlice second = request.slice({prompt.begin() + 40, prompt.end()}, 40, true);
    second.tells_prompt = true;
    std::vector<SampledToken> told = step(*runner, {first}).prompt_tokens;
    EXPECT_EQ(told.size(), 40U);
    const StepResult result = step(*runner, {second});
    EXPECT_EQ(result.samples.size(), 1U);
    told.insert(told.end(), result.prompt_tokens.begin(), result.prompt_tokens.end());
    ASSERT_EQ(told.size(), static_cast<std::size_t>(kRows - 1));
    for (std::size_t i = 0; i < told.size(); ++i) {
        EXPECT_EQ(told[i].position, static_cast<std::int32_t>(i + 1));
        EXPECT_EQ(told[i].token, prompt[i + 1]);
        const auto row = std::span(*logits).subspan(i * width, 290);  // the rest is padding
        double total = 0.0;
        for (const float logit : row) total += std::exp(static_cast<double>(logit));
        const double expected = row[static_cast<std::size_t>(prompt[i + 1])] - std::log(total);
        EXPECT_NEAR(told[i].logprob, expected, 1e-4);
        ASSERT_EQ(told[i].alternatives.size(), 3U);
        EXPECT_GE(told[i].alternatives[0].logprob, told[i].logprob);
    }
}

TEST_F(ModelRunnerTest, AlternativesAreRankedAndHoldTheGreedyToken) {
    const auto runner = make_runner();
    Request request;
    request.sampling.temperature = 0.0F;
    request.sampling.num_alternatives = 5;
    const SampledToken sample = step(*runner, {request.slice({5}, 0, true)}).samples.at(0);
    ASSERT_EQ(sample.alternatives.size(), 5U);
    EXPECT_EQ(sample.alternatives[0].token, sample.token);
    EXPECT_EQ(sample.alternatives[0].logprob, sample.logprob);
    for (std::size_t i = 1; i < sample.alternatives.size(); ++i) {
        EXPECT_LE(sample.alternatives[i].logprob, sample.alternatives[i - 1].logprob);
        EXPECT_LT(sample.alternatives[i].token, 290);
    }
}

// A token in flight counts as if it had been known when the step was planned.
TEST_F(ModelRunnerTest, PenaltiesCountTheTokenInFlight) {
    const auto runner = make_runner();
    Request request;
    request.sampling.temperature = 0.0F;
    request.sampling.frequency_penalty = 2.0F;
    request.sampling.repetition_penalty = 30.0F;
    const auto first = [&](const std::vector<SeenToken>& seen) {
        SequenceSlice slice = request.slice(request.prompt(), 0, true);
        slice.seen = seen;
        return step(*runner, {slice}).samples.at(0);
    };
    const TokenId best = first({}).token;
    EXPECT_NE(first({{best, 1}}).token, best);  // what was seen is avoided
    for (const std::vector<SeenToken>& seen :
         {std::vector<SeenToken>{}, std::vector<SeenToken>{{best, 2}, {7, 0}}}) {
        const TokenId newest = first(seen).token;
        SequenceSlice known = request.slice({newest}, kPromptTokens, true);
        std::vector<SeenToken> with_newest = seen;
        const auto entry = std::find_if(with_newest.begin(), with_newest.end(),
                                        [&](const auto& each) { return each.token == newest; });
        if (entry == with_newest.end()) {
            with_newest.push_back({newest, 1});
        } else {
            ++entry->num_generated;
        }
        known.seen = with_newest;
        SequenceSlice in_flight = request.slice({kTokenInFlight}, kPromptTokens, true);
        in_flight.seen = seen;
        const SampledToken expected = step(*runner, {known}).samples.at(0);
        (void)first(seen);
        EXPECT_TRUE(operator_equal(step(*runner, {in_flight}).samples.at(0), expected));
    }
}

TEST_F(ModelRunnerTest, StepsWithoutSamplesOrSlicesAreFine) {
    const auto runner = make_runner();
    EXPECT_TRUE(step(*runner, {}).samples.empty());
    const Request request = sampled_request();
    EXPECT_TRUE(step(*runner, {request.slice({5, 6}, 0, false)}).samples.empty());
}

using ModelRunnerDeathTest = ModelRunnerTest;

TEST_F(ModelRunnerDeathTest, WhatItCannotDoIsNotIgnored) {
    const auto runner = make_runner();
    const Request request = sampled_request();
    EXPECT_DEATH(step(*runner, {request.slice({5}, 128, true)}), "block_table");
    EXPECT_DEATH(step(*runner, {request.slice({kTokenInFlight}, 0, true)}), "last_samples_");
    EXPECT_DEATH(step(*runner, {request.slice({300}, 0, true)}), "token");
}

}  // namespace
}  // namespace turnpike::engine
