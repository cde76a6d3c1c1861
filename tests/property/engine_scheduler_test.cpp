// The scheduler under random arrivals, aborts and depths of planning: no block is owned twice, none
// is lost, every sequence ends, and nobody who came later is admitted before the oldest.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

#include "config/base/limits.h"
#include "engine/core/scheduler.h"
#include "tests/support/random.h"

namespace turnpike::engine {
namespace {

constexpr TokenId kStop = 7;

class World {
  public:
    explicit World(test::SeededRandom& random)
        : random_(random),
          depth_(random.between(1, 2)),
          scheduler_({.max_running = static_cast<std::int32_t>(random.between(1, 6)),
                      .max_waiting = 20,
                      .max_step_tokens = static_cast<std::int32_t>(random.between(6, 200))},
                     {.num_pools = static_cast<std::int32_t>(random.between(1, 3)),
                      .blocks_per_pool = 12}) {}

    void act() {
        switch (random_.between(0, 5)) {
            case 0:
            case 1:
                return arrive();
            case 2:
                return leave();
            default:
                return step();
        }
    }

    // Nothing arrives any more: everything must end within the bound of its tokens.
    void finish() {
        for (int i = 0; i < 5000 && !scheduler_.is_idle(); ++i) step();
        ASSERT_TRUE(scheduler_.is_idle());
        EXPECT_EQ(scheduler_.num_blocks_free(), scheduler_.num_blocks());
        EXPECT_TRUE(open_.empty()) << open_.size() << " sequences never ended";
    }

    int num_aborted() const { return num_aborted_; }

    int num_finished() const { return num_finished_; }

  private:
    void arrive() {
        SequenceSpec spec;
        spec.id = next_id_++;
        spec.prompt.assign(static_cast<std::size_t>(random_.between(1, 300)), 3);
        spec.max_tokens = static_cast<std::int32_t>(random_.between(1, 200));
        spec.stop_tokens = {kStop};
        const SequenceId id = spec.id;
        const auto num_prompt = static_cast<std::int32_t>(spec.prompt.size());
        if (scheduler_.add(std::move(spec))) open_[id] = num_prompt;
    }

    void leave() {
        if (open_.empty()) return;
        auto victim = open_.begin();
        std::advance(victim, random_.between(0, static_cast<std::int64_t>(open_.size()) - 1));
        const auto event = scheduler_.abort(victim->first);
        ASSERT_TRUE(event && event->is_aborted);
        EXPECT_FALSE(scheduler_.abort(victim->first).has_value());
        open_.erase(victim);
        ++num_aborted_;
    }

    void step() {
        while (scheduler_.num_steps_in_flight() < depth_) {
            StepBatch batch = scheduler_.plan();
            if (batch.slices.empty()) break;
            check(batch);
            planned_.push_back(std::move(batch));
        }
        if (planned_.empty()) return;
        const StepBatch batch = std::move(planned_.front());
        planned_.pop_front();
        StepResult result{batch.step, {}};
        for (const SequenceSlice& slice : batch.slices) {
            const auto end = slice.first_position + static_cast<std::int32_t>(slice.tokens.size());
            const TokenId token = random_.between(0, 40) == 0 ? kStop : 5;
            if (slice.is_sampled) result.samples.push_back({slice.sequence, end, token, 0.0F, {}});
        }
        for (const TokenEvent& event : scheduler_.collect(result)) {
            ASSERT_TRUE(open_.contains(event.sequence)) << "an event after the last";
            EXPECT_EQ(event.token == kStop, event.finish_reason == FinishReason::kStop);
            if (event.is_last()) {
                open_.erase(event.sequence);
                ++num_finished_;
            }
        }
    }

    void check(const StepBatch& batch) {
        std::set<std::pair<std::int32_t, BlockId>> owned;
        for (const SequenceSlice& slice : batch.slices) {
            ASSERT_FALSE(slice.tokens.empty());
            const auto end = slice.first_position + static_cast<std::int64_t>(slice.tokens.size());
            EXPECT_EQ(static_cast<std::int64_t>(slice.block_table.size()),
                      BlockPool::blocks_for(end));
            for (const BlockId block : slice.block_table) {
                EXPECT_TRUE(owned.emplace(slice.pool_index, block).second)
                    << "a block with two owners";
            }
            // First come, first served: a sequence starts only after all that came before it
            // started.
            if (slice.first_position == 0) {
                EXPECT_GT(slice.sequence, last_started_);
                last_started_ = slice.sequence;
            }
            EXPECT_EQ(slice.is_sampled, end >= slice.num_prompt_tokens);
        }
    }

    test::SeededRandom& random_;
    std::int64_t depth_;
    Scheduler scheduler_;
    std::deque<StepBatch> planned_;
    std::map<SequenceId, std::int32_t> open_;
    SequenceId next_id_ = 1;
    SequenceId last_started_ = 0;
    int num_aborted_ = 0;
    int num_finished_ = 0;
};

TEST(SchedulerProperty, RandomLifeLeavesNoBlockBehind) {
    int num_aborted = 0;
    int num_finished = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        test::SeededRandom random(seed);
        SCOPED_TRACE(random.replay());
        World world(random);
        for (int i = 0; i < 300; ++i) world.act();
        world.finish();
        num_aborted += world.num_aborted();
        num_finished += world.num_finished();
    }
    EXPECT_GT(num_aborted, 500);
    EXPECT_GT(num_finished, 500);
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
    Scheduler scheduler({.max_running = 2, .max_waiting = 2, .max_step_tokens = 8}, {1, 2});
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
        EXPECT_TRUE(batch.slices.at(1).seen.empty());  // without penalties nothing is copied
        const SampledToken sample{1, 0, token, -0.5F, {{9, -0.25F}}};
        const auto events =
            scheduler.collect({batch.step, {sample, SampledToken{2, 0, 5, 0.0F, {}}}});
        EXPECT_EQ(events.at(0).logprob, -0.5F);
        EXPECT_EQ(events.at(0).alternatives.at(0).token, 9);
        Seen seen;
        for (const SeenToken& entry : batch.slices.at(0).seen)
            seen.emplace_back(entry.token, entry.num_generated);
        return seen;
    };
    EXPECT_EQ(seen_after(4), (Seen{{3, 0}, {4, 0}}));
    EXPECT_EQ(seen_after(8), (Seen{{3, 0}, {4, 1}}));
    EXPECT_EQ(seen_after(8), (Seen{{3, 0}, {4, 1}, {8, 1}}));
    EXPECT_EQ(seen_after(1), (Seen{{3, 0}, {4, 1}, {8, 2}}));
}

}  // namespace
}  // namespace turnpike::engine
