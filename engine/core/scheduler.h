// Scheduler: which rows run in the next step. Pure bookkeeping over values: no tensors, threads or
// clocks.
//
// Sequences run in the order of (priority, arrival). A step holds one row of every generating
// sequence, then chunks of prompts up to a token budget. A sequence begins when blocks for all its
// known tokens are free, taking leading blocks from the prefix cache; while another computes the
// very block that it needs next, it waits for that instead. It takes blocks as it grows; when there
// is none, the sequence that ranks last gives its own back and runs again later, from its tokens
// (preemption by recomputation). The first in rank always has what it needs, so all of them end.
//
// Speculation: while few sequences run, a generated row is followed by drafts of the next tokens.
// The step checks them, and gives a token for each that is right as well. Nobody is preempted for a
// draft's room. A sequence whose drafts are refused is asked for fewer of them, and then for one
// now and then (DraftGate). One that drafts is in one step at a time: what comes next is known only
// at its end.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/base/limits.h"
#include "config/base/result.h"
#include "engine/core/batch.h"
#include "engine/core/block_hash.h"
#include "engine/core/block_pool.h"
#include "engine/core/sequence.h"

namespace turnpike::engine {

struct SchedulerOptions {
    std::int32_t max_running = 8;
    std::int32_t max_waiting = 1024;
    std::int32_t max_step_tokens = 512;  // prompt rows and generated rows of one step
    bool has_prefix_cache = true;
    // Drafts of a generating sequence in a step, at most; up to limits::kMaxSpeculativeTokens.
    std::int32_t num_speculative_tokens = 0;
    std::int32_t max_speculating = 8;  // no drafts while more sequences run
    bool has_draft_gate = true;        // fewer drafts of a sequence whose drafts are refused
    BlockHasher::Key cache_key{};      // random, of this process
};

// Counted since the start.
struct SchedulerCounters {
    std::int64_t num_preemptions = 0;
    std::int64_t num_cache_queried_tokens = 0;  // known tokens of sequences as they began
    std::int64_t num_cache_hit_tokens = 0;      // of them, found in the prefix cache
    std::int64_t num_drafts = 0;                // steps of a sequence that checked drafts
    std::int64_t num_draft_tokens = 0;          // drafts that were checked
    std::int64_t num_accepted_tokens = 0;       // of them, found right
    // The same by the draft's place in its step.
    std::array<std::int64_t, limits::kMaxSpeculativeTokens> num_accepted_at{};
};

// kContextLengthExceeded when no pool could ever hold the sequence.
Status check_fits(const SequenceSpec& spec, const PoolShape& pools);

class Scheduler {
  public:
    Scheduler(SchedulerOptions options, PoolShape pools);

    // kUnavailable when the queue is full, kContextLengthExceeded when it could never fit.
    Status add(SequenceSpec spec);

    // The next step, empty slices when there is nothing to run. May be called again before the
    // result of the last step is known: rows whose token is still being sampled hold
    // kTokenInFlight.
    StepBatch plan();

    // The result of the oldest planned step. Returns what happened, in slice order.
    std::vector<TokenEvent> collect(const StepResult& result);

    // The sequences that began to run for the first time since the last call.
    std::vector<SequenceId> take_begun() { return std::exchange(begun_, {}); }

    // Ends a sequence, waiting or running; its blocks are free as soon as no planned step uses
    // them. The event comes at once. Nothing when the sequence is unknown or has ended.
    std::optional<TokenEvent> abort(SequenceId id);

    std::int32_t num_waiting() const { return static_cast<std::int32_t>(waiting_.size()); }

    std::int32_t num_running() const { return static_cast<std::int32_t>(running_.size()); }

    std::int32_t num_steps_in_flight() const { return static_cast<std::int32_t>(planned_.size()); }

    // Blocks without an owner, those that the prefix cache holds included.
    std::int64_t num_blocks_free() const;
    std::int64_t num_blocks() const;

    const SchedulerCounters& counters() const { return counters_; }

    bool is_idle() const { return waiting_.empty() && running_.empty() && planned_.empty(); }

  private:
    using Sequences = std::list<Sequence>;

    // What a sequence finds in the prefix cache of a pool: its leading blocks.
    struct Placement {
        std::int32_t pool_index = 0;
        std::vector<BlockId> cached;
    };

    BlockPool& pool(std::int32_t index) { return pools_[static_cast<std::size_t>(index)]; }

    void insert_ranked(Sequences& from, Sequences::iterator sequence, Sequences& to);
    void admit();
    std::vector<Placement> placements(Sequence& sequence);
    bool is_computed_elsewhere(Sequence& sequence, const Placement& best);
    bool try_begin(Sequences::iterator sequence, const Placement& placement);
    bool is_speculating() const;
    bool grow(Sequence& sequence);
    bool grow_freely(Sequence& sequence, std::int32_t num_rows);
    std::int32_t num_drafts_of(Sequence& sequence);
    void ask_for_drafts(Sequence& sequence, SequenceSlice& slice);
    bool preempt_last(std::int32_t pool_index);
    void publish_full_blocks(Sequence& sequence);
    void expect_blocks(Sequence& sequence, std::int32_t num_cached);
    void forget_expected(SequenceId id);
    void count_drafts(const PlannedRows& rows, std::size_t num_samples);
    void settle(Sequences::iterator sequence);

    SchedulerOptions options_;
    BlockHasher hasher_;
    std::vector<BlockPool> pools_;
    Sequences waiting_;  // by rank
    Sequences running_;  // by rank; those that leave stay until no step uses their blocks
    std::unordered_map<SequenceId, Sequences::iterator> by_id_;
    // Blocks of prompts that a running sequence will fill: by whom.
    std::unordered_map<BlockHash, SequenceId, HashOfBlockHash> expected_;
    std::unordered_map<SequenceId, std::vector<BlockHash>> expected_of_;
    std::deque<std::vector<PlannedRows>> planned_;
    std::vector<SequenceId> begun_;
    std::int64_t next_step_ = 0;
    std::int64_t next_arrival_ = 0;
    SchedulerCounters counters_;
};

}  // namespace turnpike::engine
