// Scheduler: which rows run in the next step. Pure bookkeeping over values: no tensors, threads or
// clocks. First come, first served. A sequence is admitted when blocks for its prompt and all
// tokens that it may generate are free, so nothing is ever taken back. A step holds one row of
// every generating sequence and chunks of prompts up to a token budget.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "config/base/result.h"
#include "engine/api/response.h"
#include "engine/core/batch.h"
#include "engine/core/block_pool.h"
#include "engine/core/token_history.h"

namespace turnpike::engine {

struct SequenceSpec {
    SequenceId id = 0;
    std::vector<TokenId> prompt;       // not empty
    std::int32_t max_tokens = 1;       // at least 1
    std::vector<TokenId> stop_tokens;  // generating one ends the sequence
    std::int32_t choice_index = 0;
    SamplingParams sampling;
};

// What a step did for one sequence.
struct TokenEvent {
    SequenceId sequence = 0;
    std::optional<TokenId> token;               // none when the sequence was aborted
    std::optional<FinishReason> finish_reason;  // set on the last token
    bool is_aborted = false;                    // the last event of an aborted sequence
    float logprob = 0.0F;                       // of the token, as TokenLogprob
    std::vector<TokenLogprob> alternatives{};   // as many as the sampling parameters ask for

    bool is_last() const { return is_aborted || finish_reason.has_value(); }
};

struct SchedulerOptions {
    std::int32_t max_running = 8;
    std::int32_t max_waiting = 1024;
    std::int32_t max_step_tokens = 512;  // prompt rows and generated rows of one step
};

class Scheduler {
  public:
    Scheduler(SchedulerOptions options, PoolShape pools);

    // kUnavailable when the queue is full, kInvalidArgument when the sequence could never fit.
    Status add(SequenceSpec spec);

    // The next step, empty slices when there is nothing to run. May be called again before the
    // result of the last step is known: rows whose token is still being sampled hold
    // kTokenInFlight.
    StepBatch plan();

    // The result of the oldest planned step. Returns what happened, in slice order.
    std::vector<TokenEvent> collect(const StepResult& result);

    // Ends a sequence, waiting or running; its blocks are free as soon as no planned step uses
    // them. The event comes at once. Nothing when the sequence is unknown or has ended.
    std::optional<TokenEvent> abort(SequenceId id);

    std::int32_t num_waiting() const { return static_cast<std::int32_t>(waiting_.size()); }

    std::int32_t num_running() const { return static_cast<std::int32_t>(running_.size()); }

    std::int32_t num_steps_in_flight() const { return static_cast<std::int32_t>(planned_.size()); }

    std::int64_t num_blocks_free() const;
    std::int64_t num_blocks() const;

    bool is_idle() const { return waiting_.empty() && running_.empty() && planned_.empty(); }

  private:
    struct Sequence {
        SequenceSpec spec;
        std::int32_t pool_index = 0;
        std::vector<BlockId> blocks;
        std::vector<TokenId> generated;
        TokenHistory history;                    // kept when penalties need it
        std::int64_t num_scheduled = 0;          // rows that planned steps have taken
        std::int32_t num_samples_scheduled = 0;  // tokens that planned steps sample
        std::int32_t num_steps_in_flight = 0;
        bool is_ended = false;
    };

    void admit();
    std::optional<SequenceSlice> next_slice(Sequence& sequence, std::int32_t budget);
    void release_if_done(std::list<Sequence>::iterator sequence);

    SchedulerOptions options_;
    std::vector<BlockPool> pools_;
    std::deque<SequenceSpec> waiting_;
    std::list<Sequence> running_;  // in order of admission; ended ones stay until no step uses them
    std::unordered_map<SequenceId, std::list<Sequence>::iterator> by_id_;
    std::deque<std::vector<SequenceId>> planned_;
    std::int64_t next_step_ = 0;
};

}  // namespace turnpike::engine
