// The step thread with a runner that can be held: order of tokens, ends, aborts, bounds, stopping.
#include "engine/core/step_loop.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>

#include "tests/support/fake_runner.h"

namespace turnpike::engine {
namespace {

constexpr TokenId kEndToken = 1;

// What one sequence's sink saw.
class Seen {
  public:
    // Ends the sequence by verdict when this many tokens have come.
    explicit Seen(std::size_t end_after = SIZE_MAX) : end_after_(end_after) {}

    SinkVerdict take(const TokenEvent& event) {
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(is_over_) << "an event after the last";
        if (event.token) tokens_.push_back(*event.token);
        last_ = event;
        const bool ends = tokens_.size() >= end_after_;
        is_over_ = event.is_last() || ends;
        changed_.notify_all();
        return ends ? SinkVerdict::kEnd : SinkVerdict::kContinue;
    }

    TokenEvent wait_over() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return is_over_; });
        return last_;
    }

    std::vector<TokenId> tokens() const {
        const std::lock_guard lock(mutex_);
        return tokens_;
    }

  private:
    const std::size_t end_after_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<TokenId> tokens_;
    TokenEvent last_;
    bool is_over_ = false;
};

class StepLoopTest : public testing::TestWithParam<int> {
  protected:
    // Token = its position, so every order can be seen.
    test::FakeRunner runner_{{1, 64}, GetParam(), [this](const SequenceSlice&, std::int32_t at) {
                                 return at == end_position_ ? kEndToken : TokenId{100} + at;
                             }};
    StepLoop loop_{runner_, {.max_running = 2, .max_waiting = 2, .max_step_tokens = 64}};
    std::int32_t end_position_ = -1;

    StepLoop::Job job(const std::shared_ptr<Seen>& seen, std::int32_t max_tokens = 4) {
        StepLoop::Job job{{}, [seen](const TokenEvent& event) { return seen->take(event); }};
        job.spec.id = loop_.new_sequence_id();
        job.spec.prompt = {7, 8};
        job.spec.max_tokens = max_tokens;
        job.spec.stop_tokens = {kEndToken};
        return job;
    }

    SequenceId submit(const std::shared_ptr<Seen>& seen, std::int32_t max_tokens = 4) {
        StepLoop::Job one = job(seen, max_tokens);
        const SequenceId id = one.spec.id;
        std::vector<StepLoop::Job> jobs;
        jobs.push_back(std::move(one));
        EXPECT_TRUE(loop_.submit(std::move(jobs)).has_value());
        return id;
    }

    // The runner is let go first, so that a failed test ends too.
    void TearDown() override {
        runner_.release();
        loop_.stop();
        EXPECT_EQ(loop_.load().kv_blocks_used, 0);
        EXPECT_EQ(loop_.load().num_running, 0);
    }
};

INSTANTIATE_TEST_SUITE_P(Depth, StepLoopTest, testing::Values(1, 2));

TEST_P(StepLoopTest, DeliversTokensInOrderUpToTheLength) {
    const auto seen = std::make_shared<Seen>();
    submit(seen, 4);
    EXPECT_EQ(seen->wait_over().finish_reason, FinishReason::kLength);
    EXPECT_EQ(seen->tokens(), (std::vector<TokenId>{102, 103, 104, 105}));
}

TEST_P(StepLoopTest, AnEndTokenEndsIt) {
    end_position_ = 4;
    const auto seen = std::make_shared<Seen>();
    submit(seen, 1000);
    EXPECT_EQ(seen->wait_over().finish_reason, FinishReason::kStop);
    EXPECT_EQ(seen->tokens(), (std::vector<TokenId>{102, 103, kEndToken}));
}

TEST_P(StepLoopTest, TheSinksVerdictEndsItWithThatToken) {
    const auto seen = std::make_shared<Seen>(3);
    submit(seen, 1000);
    seen->wait_over();
    const auto other = std::make_shared<Seen>();
    submit(other, 50);
    EXPECT_EQ(other->wait_over().finish_reason, FinishReason::kLength);
    EXPECT_EQ(seen->tokens().size(), 3U);
    EXPECT_EQ(loop_.load().generated_tokens, 53);
}

TEST_P(StepLoopTest, AnAbortTakesEffectWithinOneStep) {
    runner_.hold();
    const auto seen = std::make_shared<Seen>();
    const SequenceId id = submit(seen, 1000);
    runner_.allow(2);
    runner_.wait_submitted(2 + GetParam());  // the next collect() waits
    const int num_submitted = runner_.num_submitted();
    loop_.abort(id);
    runner_.allow(GetParam());  // what is in flight
    EXPECT_TRUE(seen->wait_over().is_aborted);
    runner_.release();
    EXPECT_EQ(runner_.num_submitted(), num_submitted);
    EXPECT_LE(seen->tokens().size(), 3U);
}

TEST_P(StepLoopTest, AnAbortOfTheWaitingAndTheUnknown) {
    runner_.hold();
    const auto first = std::make_shared<Seen>();
    const auto second = std::make_shared<Seen>();
    const auto third = std::make_shared<Seen>();
    submit(first);
    submit(second);
    runner_.wait_submitted(GetParam());
    const SequenceId waiting = submit(third);
    loop_.abort(waiting);
    loop_.abort(987'654);
    runner_.release();
    EXPECT_TRUE(third->wait_over().is_aborted);
    EXPECT_TRUE(third->tokens().empty());
    EXPECT_EQ(first->wait_over().finish_reason, FinishReason::kLength);
    EXPECT_EQ(second->wait_over().finish_reason, FinishReason::kLength);
}

TEST_P(StepLoopTest, AFullQueueIsRefusedAsAWhole) {
    runner_.hold();
    std::vector<std::shared_ptr<Seen>> admitted;
    for (int i = 0; i < 2; ++i) submit(admitted.emplace_back(std::make_shared<Seen>()));
    runner_.wait_submitted(GetParam());
    submit(admitted.emplace_back(std::make_shared<Seen>()));
    const auto refused = std::make_shared<Seen>();
    std::vector<StepLoop::Job> jobs;
    for (int i = 0; i < 3; ++i) jobs.push_back(job(refused));
    const Status status = loop_.submit(std::move(jobs));
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
    runner_.release();
    for (const auto& seen : admitted) EXPECT_TRUE(seen->wait_over().is_last());
    EXPECT_TRUE(refused->tokens().empty());
}

TEST_P(StepLoopTest, WhatCanNeverFitIsRefused) {
    std::vector<StepLoop::Job> jobs;
    jobs.push_back(job(std::make_shared<Seen>(), 64 * 64));
    EXPECT_EQ(loop_.submit(std::move(jobs)).error().code, ErrorCode::kContextLengthExceeded);
}

TEST_P(StepLoopTest, StoppingTellsEverySink) {
    runner_.hold();
    std::vector<std::shared_ptr<Seen>> all;
    // Together, so that the step thread takes both before it waits for the device.
    std::vector<StepLoop::Job> running;
    for (int i = 0; i < 2; ++i)
        running.push_back(job(all.emplace_back(std::make_shared<Seen>()), 1000));
    ASSERT_TRUE(loop_.submit(std::move(running)).has_value());
    runner_.wait_submitted(GetParam());
    // The step thread waits for the device: these stay in the inbox.
    for (int i = 0; i < 2; ++i) submit(all.emplace_back(std::make_shared<Seen>()), 1000);
    std::thread stopper([this] { loop_.stop(); });
    while (loop_.submit({}).has_value()) std::this_thread::yield();  // until it is stopping
    runner_.release();
    for (const auto& seen : all) EXPECT_TRUE(seen->wait_over().is_aborted);
    stopper.join();
    std::vector<StepLoop::Job> jobs;
    jobs.push_back(job(std::make_shared<Seen>()));
    EXPECT_EQ(loop_.submit(std::move(jobs)).error().code, ErrorCode::kUnavailable);
    loop_.stop();
}

// Depth of planning, and every how many drafts one is wrong.
class SpeculativeStepLoopTest : public testing::TestWithParam<std::tuple<int, int>> {
  protected:
    test::FakeRunner::Sample sample_ = [](const SequenceSlice& slice, std::int32_t at) {
        return static_cast<TokenId>(100 * slice.sequence + at);
    };
    test::FakeRunner runner_{{1, 64},
                             std::get<0>(GetParam()),
                             sample_,
                             [this](const SequenceSlice& slice, std::int32_t at) {
                                 const bool is_wrong = ++num_drafts_ % std::get<1>(GetParam()) == 0;
                                 return sample_(slice, at) + (is_wrong ? 1 : 0);
                             }};
    int num_drafts_ = 0;
    SchedulerOptions options_{.max_running = 4,
                              .max_waiting = 8,
                              .max_step_tokens = 64,
                              .num_speculative_tokens = 1,
                              .max_speculating = 3};

    static StepLoop::Job job(StepLoop& loop,
                             const std::shared_ptr<Seen>& seen,
                             std::int32_t max_tokens) {
        StepLoop::Job job{{}, [seen](const TokenEvent& event) { return seen->take(event); }};
        job.spec.id = loop.new_sequence_id();
        job.spec.prompt = {7, 8};
        job.spec.max_tokens = max_tokens;
        return job;
    }

    // Runs as many at once, each with that many tokens; `end_after`: by its sink's verdict.
    Load run(std::int64_t num_sequences, std::int32_t max_tokens, std::size_t end_after) {
        StepLoop loop(runner_, options_);
        std::vector<std::shared_ptr<Seen>> all;
        std::vector<StepLoop::Job> jobs;
        for (std::int64_t i = 0; i < num_sequences; ++i) {
            all.push_back(std::make_shared<Seen>(end_after));
            jobs.push_back(job(loop, all.back(), max_tokens));
        }
        EXPECT_TRUE(loop.submit(std::move(jobs)).has_value());
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i]->wait_over();
            std::vector<TokenId> expected;
            const auto count = std::min(static_cast<std::size_t>(max_tokens), end_after);
            for (std::size_t at = 2; at < 2 + count; ++at)
                expected.push_back(static_cast<TokenId>(100 * (i + 1) + at));
            EXPECT_EQ(all[i]->tokens(), expected) << "sequence " << i + 1;
        }
        loop.stop();
        EXPECT_EQ(loop.load().kv_blocks_used, 0);
        return loop.load();
    }
};

// Every draft wrong, every second, every fifth, none.
INSTANTIATE_TEST_SUITE_P(DepthAndDrafts,
                         SpeculativeStepLoopTest,
                         testing::Combine(testing::Values(1, 2),
                                          testing::Values(1, 2, 5, 1 << 30)));

TEST_P(SpeculativeStepLoopTest, TokensAreThoseWithoutDrafts) {
    const Load load = run(3, 30, SIZE_MAX);
    EXPECT_EQ(load.generated_tokens, 3 * 30);
    EXPECT_GT(load.num_drafts, 3 * 4);  // refused ones only are soon not asked for
    EXPECT_EQ(load.draft_tokens, load.num_drafts);
    const int wrong_each = std::get<1>(GetParam());
    EXPECT_EQ(load.accepted_tokens > 0, wrong_each > 1);
    EXPECT_EQ(load.accepted_tokens < load.draft_tokens, wrong_each <= 5);
    // Each step gives a sequence one token, and one more where a draft was right.
    EXPECT_GE(load.num_steps, 30 - load.accepted_tokens);
}

TEST_P(SpeculativeStepLoopTest, AVerdictEndsItWithinAStep) {
    for (const std::size_t end_after : {2U, 3U, 4U, 5U}) {
        runner_.forget();
        const Load load = run(1, 30, end_after);
        EXPECT_EQ(load.generated_tokens, static_cast<std::int64_t>(end_after));
    }
}

TEST_P(SpeculativeStepLoopTest, AboveTheBoundThereIsNone) {
    options_.max_speculating = 0;
    EXPECT_EQ(run(3, 30, SIZE_MAX).num_drafts, 0);
    EXPECT_EQ(num_drafts_, 0);
}

}  // namespace
}  // namespace turnpike::engine
