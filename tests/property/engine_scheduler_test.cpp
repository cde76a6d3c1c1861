// The scheduler under random arrivals, aborts, priorities and depths of planning, with prompts that
// share prefixes and pools that are too small. A model of the cache keeps what each row wrote:
// every row must find exactly its own sequence's keys and values below it, whoever computed them.
// No block is written by two, none is lost, every sequence ends, and nobody waits for ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <tuple>

#include "config/base/limits.h"
#include "engine/core/scheduler.h"
#include "tests/support/random.h"

namespace turnpike::engine {
namespace {

constexpr TokenId kStop = 7;
constexpr std::int64_t kBlock = limits::kKvBlockTokens;

// What a cache row holds: a hash of all that its bits depend on.
using CacheRow = std::uint64_t;

CacheRow mix(CacheRow past, std::uint64_t value) {
    return (past ^ value) * 0x9e3779b97f4a7c15U + (past >> 29U);
}

struct Total {
    int num_aborted = 0;
    int num_finished = 0;
    std::int64_t num_preemptions = 0;
    std::int64_t num_hits = 0;
};

class World {
  public:
    explicit World(test::SeededRandom& random)
        : random_(random),
          depth_(random.between(1, 2)),
          options_({.max_running = static_cast<std::int32_t>(random.between(1, 8)),
                    .max_waiting = 20,
                    .max_step_tokens = static_cast<std::int32_t>(random.between(8, 200)),
                    .has_prefix_cache = random.between(0, 4) > 0,
                    .cache_key = {1, 2}}),
          scheduler_(options_,
                     {.num_pools = static_cast<std::int32_t>(random.between(1, 3)),
                      .blocks_per_pool = static_cast<std::int32_t>(random.between(8, 14))}) {}

    void act() {
        switch (random_.between(0, 5)) {
            case 0:
            case 1:
                return arrive();
            case 2:
                return random_.between(0, 2) == 0 ? leave() : step();
            default:
                return step();
        }
    }

    // Nothing arrives any more: everything must end within the bound of its tokens.
    void finish(Total& total) {
        for (int i = 0; i < 20000 && !scheduler_.is_idle(); ++i) step();
        ASSERT_TRUE(scheduler_.is_idle());
        EXPECT_EQ(scheduler_.num_blocks_free(), scheduler_.num_blocks());
        EXPECT_TRUE(open_.empty()) << open_.size() << " sequences never ended";
        if (!options_.has_prefix_cache) {
            EXPECT_EQ(scheduler_.counters().num_cache_hit_tokens, 0);
        }
        total.num_aborted += num_aborted_;
        total.num_finished += num_finished_;
        total.num_preemptions += scheduler_.counters().num_preemptions;
        total.num_hits += scheduler_.counters().num_cache_hit_tokens;
    }

  private:
    struct Open {
        std::string salt;
        std::int64_t num_prompt = 0;
        std::int64_t max_tokens = 0;
        std::vector<TokenId> tokens;  // prompt and what was sampled, also in steps not collected
        std::vector<CacheRow> rows;   // of each token
        std::size_t num_told = 0;     // tokens that events brought

        void add(TokenId token) {
            const auto position = static_cast<std::int64_t>(tokens.size());
            const CacheRow past = rows.empty() ? std::hash<std::string>()(salt) : rows.back();
            const std::uint64_t form = position < num_prompt ? 1 : 2;
            rows.push_back(mix(mix(past, static_cast<std::uint64_t>(token)), form));
            tokens.push_back(token);
        }
    };

    // Prompts begin with one of two texts, so that prefixes of many lengths are shared.
    void arrive() {
        SequenceSpec spec;
        spec.id = next_id_++;
        const auto text = static_cast<TokenId>(random_.between(0, 1));
        constexpr std::array<std::int64_t, 5> kShared = {0, 50, 64, 130, 200};
        const std::int64_t num_shared = kShared[static_cast<std::size_t>(random_.between(0, 4))];
        const std::int64_t num_own = random_.between(1, 90);
        // As another's generated tokens, which have other bits.
        const TokenId own = random_.between(0, 1) == 0 ? 5 : 11;
        for (std::int64_t i = 0; i < num_shared; ++i)
            spec.prompt.push_back(1000 * (text + 1) + static_cast<TokenId>(i));
        for (std::int64_t i = 0; i < num_own; ++i) spec.prompt.push_back(own);
        spec.max_tokens = static_cast<std::int32_t>(random_.between(1, 400));
        spec.stop_tokens = {kStop};
        spec.priority = static_cast<std::int32_t>(random_.between(0, 5) == 0 ? -1 : 0);
        spec.cache_salt = random_.between(0, 3) == 0 ? "other" : "one";
        Open open{spec.cache_salt,
                  static_cast<std::int64_t>(spec.prompt.size()),
                  spec.max_tokens,
                  {},
                  {},
                  0};
        for (const TokenId token : spec.prompt) open.add(token);
        const SequenceId id = spec.id;
        if (scheduler_.add(std::move(spec))) open_[id] = std::move(open);
    }

    void leave() {
        if (open_.empty()) return;
        auto victim = open_.begin();
        std::advance(victim, random_.between(0, static_cast<std::int64_t>(open_.size()) - 1));
        const auto event = scheduler_.abort(victim->first);
        ASSERT_TRUE(event && event->is_aborted);
        EXPECT_FALSE(scheduler_.abort(victim->first).has_value());
        aborted_[victim->first] = std::move(victim->second);
        open_.erase(victim);
        ++num_aborted_;
    }

    Open& sequence_of(SequenceId id) {
        const auto found = open_.find(id);
        return found != open_.end() ? found->second : aborted_.at(id);
    }

    void step() {
        while (scheduler_.num_steps_in_flight() < depth_) {
            StepBatch batch = scheduler_.plan();
            if (batch.slices.empty()) break;
            run(batch);
        }
        if (results_.empty()) {
            // Nothing in flight and nothing planned: then nothing is there to run.
            EXPECT_TRUE(scheduler_.is_idle());
            return;
        }
        const StepResult result = std::move(results_.front());
        results_.pop_front();
        for (const TokenEvent& event : scheduler_.collect(result)) {
            ASSERT_TRUE(open_.contains(event.sequence)) << "an event after the last";
            Open& open = open_.at(event.sequence);
            const std::size_t position =
                static_cast<std::size_t>(open.num_prompt) + open.num_told++;
            ASSERT_LT(position, open.tokens.size());
            EXPECT_EQ(event.token, open.tokens[position]) << "a token lost or told twice";
            EXPECT_EQ(event.token == kStop, event.finish_reason == FinishReason::kStop);
            EXPECT_LE(static_cast<std::int64_t>(open.num_told), open.max_tokens);
            if (!event.is_last()) continue;
            aborted_[event.sequence] = std::move(open);
            open_.erase(event.sequence);
            ++num_finished_;
        }
    }

    // Does what a runner does, in the order of submission, and checks that each row finds its past.
    void run(const StepBatch& batch) {
        StepResult result{batch.step, {}};
        std::set<std::pair<std::int32_t, BlockId>> written;
        std::int64_t num_rows = 0;
        for (const SequenceSlice& slice : batch.slices) {
            ASSERT_FALSE(slice.tokens.empty());
            num_rows += static_cast<std::int64_t>(slice.tokens.size());
            const auto end = slice.first_position + static_cast<std::int64_t>(slice.tokens.size());
            ASSERT_EQ(static_cast<std::int64_t>(slice.block_table.size()),
                      BlockPool::blocks_for(end));
            Open& open = sequence_of(slice.sequence);
            for (std::int64_t p = 0; p < slice.first_position; ++p) check_row(slice, open, p);
            for (std::int64_t p = slice.first_position; p < end; ++p) write_row(slice, open, p);
            for (std::int64_t b = slice.first_position / kBlock; b * kBlock < end; ++b) {
                const BlockId block = slice.block_table[static_cast<std::size_t>(b)];
                EXPECT_TRUE(written.emplace(slice.pool_index, block).second)
                    << "a block with two writers";
            }
            if (slice.is_sampled) sample(slice, open, end, result);
        }
        for (const SequenceSlice& slice : batch.slices) {
            for (std::int64_t b = 0; b < slice.first_position / kBlock; ++b) {
                const BlockId block = slice.block_table[static_cast<std::size_t>(b)];
                EXPECT_FALSE(written.contains({slice.pool_index, block})) << "written while read";
            }
        }
        EXPECT_LE(num_rows, options_.max_step_tokens);
        results_.push_back(std::move(result));
    }

    CacheRow& cache_row(const SequenceSlice& slice, std::int64_t position) {
        const BlockId block = slice.block_table[static_cast<std::size_t>(position / kBlock)];
        return cache_[{slice.pool_index, block, position % kBlock}];
    }

    void check_row(const SequenceSlice& slice, const Open& open, std::int64_t position) {
        ASSERT_EQ(cache_row(slice, position), open.rows[static_cast<std::size_t>(position)])
            << "sequence " << slice.sequence << " at " << position;
    }

    void write_row(const SequenceSlice& slice, const Open& open, std::int64_t position) {
        const TokenId token =
            slice.tokens[static_cast<std::size_t>(position - slice.first_position)];
        const TokenId expected = open.tokens[static_cast<std::size_t>(position)];
        ASSERT_TRUE(token == expected || token == kTokenInFlight);
        EXPECT_TRUE(token != kTokenInFlight || !results_.empty());
        cache_row(slice, position) = open.rows[static_cast<std::size_t>(position)];
    }

    void sample(const SequenceSlice& slice, Open& open, std::int64_t end, StepResult& result) {
        ASSERT_EQ(static_cast<std::int64_t>(open.tokens.size()), end) << "sampled twice";
        const TokenId token = random_.between(0, 300) == 0 ? kStop : 5;
        open.add(token);
        result.samples.push_back({slice.sequence, static_cast<std::int32_t>(end), token, 0.0F});
    }

    test::SeededRandom& random_;
    std::int64_t depth_;
    SchedulerOptions options_;
    Scheduler scheduler_;
    std::deque<StepResult> results_;
    std::map<SequenceId, Open> open_;
    std::map<SequenceId, Open> aborted_;  // and finished: steps in flight may still name them
    std::map<std::tuple<std::int32_t, BlockId, std::int64_t>, CacheRow> cache_;
    SequenceId next_id_ = 1;
    int num_aborted_ = 0;
    int num_finished_ = 0;
};

TEST(SchedulerProperty, RandomLifeFindsItsCacheAndLeavesNoBlockBehind) {
    Total total;
    for (std::uint64_t seed = 1; seed <= 120; ++seed) {
        test::SeededRandom random(seed);
        SCOPED_TRACE(random.replay());
        World world(random);
        for (int i = 0; i < 600; ++i) world.act();
        world.finish(total);
        if (HasFatalFailure()) return;
    }
    // The cases that this is about did happen.
    EXPECT_GT(total.num_aborted, 200);
    EXPECT_GT(total.num_finished, 1000);
    EXPECT_GT(total.num_preemptions, 300);
    EXPECT_GT(total.num_hits, 20'000);
    RecordProperty("preemptions", static_cast<int>(total.num_preemptions));
}

}  // namespace
}  // namespace turnpike::engine
