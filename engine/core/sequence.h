// Sequence: one prompt and what is generated after it, as the scheduler sees it: tokens, rows and
// blocks. Plain bookkeeping; the scheduler moves it between its lists.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/api/response.h"
#include "engine/core/batch.h"
#include "engine/core/block_hash.h"
#include "engine/core/draft_gate.h"
#include "engine/core/token_history.h"

namespace turnpike::engine {

struct SequenceSpec {
    SequenceId id = 0;
    std::vector<TokenId> prompt;       // not empty
    std::int32_t max_tokens = 1;       // at least 1
    std::vector<TokenId> stop_tokens;  // generating one ends the sequence
    std::int32_t choice_index = 0;
    SamplingParams sampling;
    std::int32_t priority = 0;           // lower ones run first
    std::string cache_salt;              // prompts are shared only between equal salts
    std::int32_t min_tokens = 0;         // before so many are generated, none of stop_tokens is
    bool wants_prompt_logprobs = false;  // its prompt is then computed whole, without the cache
};

// What one step was asked for one sequence.
struct PlannedRows {
    SequenceId sequence = 0;
    std::int64_t num_rows = 0;
    std::int32_t num_draft_tokens = 0;  // of the rows, the last ones
    bool is_sampled = false;
};

// One token of a sequence, or its end without one.
struct TokenEvent {
    SequenceId sequence = 0;
    std::optional<TokenId> token;               // none when the sequence was aborted
    std::optional<FinishReason> finish_reason;  // set on the last token
    bool is_aborted = false;                    // the last event of an aborted sequence
    float logprob = 0.0F;                       // of the token, as TokenLogprob
    std::vector<TokenLogprob> alternatives{};   // as many as the sampling parameters ask for
    std::int32_t num_cached_tokens = 0;         // of the prompt, found in the prefix cache
    // Tokens of the prompt with their logprobs, by position, from the second one on; each once.
    // Such an event holds nothing else.
    std::vector<SampledToken> prompt_tokens{};

    bool is_last() const { return is_aborted || finish_reason.has_value(); }
};

class Sequence {
  public:
    // `arrival`: a number that grows from sequence to sequence. `has_draft_cache`: its blocks hold
    // the draft layer's rows too, which depend on one token beyond the block. `draft_gate`: of its
    // drafts.
    Sequence(SequenceSpec spec,
             std::int64_t arrival,
             const BlockHasher& hasher,
             bool has_draft_cache,
             DraftGate draft_gate);

    const SequenceSpec& spec() const { return spec_; }

    // Smaller runs first.
    std::pair<std::int32_t, std::int64_t> rank() const { return {spec_.priority, arrival_}; }

    std::int64_t num_prompt() const { return static_cast<std::int64_t>(spec_.prompt.size()); }

    std::int64_t num_known() const {
        return num_prompt() + static_cast<std::int64_t>(generated_.size());
    }

    // Rows that are known and not yet planned.
    std::int64_t num_unplanned() const { return num_known() - num_planned_; }

    std::int64_t num_planned() const { return num_planned_; }

    // Whether a next row can be planned: one whose token is known, or is being sampled. While
    // speculating, a token that is being sampled is waited for when a draft was asked for with it,
    // as that is known only then, or is to be asked for in the next step, which needs the token.
    bool has_next_row(bool is_speculating = false) const;
    // How many drafts can follow the next row.
    std::int32_t num_next_drafts() const;

    // Plans up to `budget` rows; has_next_row() and the blocks for them hold.
    SequenceSlice plan_rows(std::int64_t budget);
    // The same, for one row and drafts after it, 1 to num_next_drafts(); the blocks for all of them
    // hold.
    SequenceSlice plan_drafts(std::int32_t num_drafts);
    // Of the slice just planned, a sampled one: how many drafts to ask for, at most `most`. None
    // when the sequence's drafts are not worth their time, or when max_tokens leaves no room.
    std::int32_t ask_for_drafts(std::int32_t most);
    // Has the slice just planned cover that many positions more; the blocks for them hold.
    void cover(SequenceSlice& slice, std::int32_t num_positions) const;
    // Blocks that are missing before that many rows can be planned.
    std::int32_t num_blocks_missing(std::int64_t num_rows) const;
    // The rows of the oldest planned step are done and gave these samples. Returns the events;
    // none when the sequence had ended: the step was planned before that was known.
    std::vector<TokenEvent> complete_rows(const PlannedRows& rows,
                                          std::span<const SampledToken> samples,
                                          std::span<const SampledToken> prompt_tokens);

    // Ends it without a token; the event that says so.
    TokenEvent abort();

    // Whether it ever had blocks.
    bool has_run() const { return has_run_; }

    // Whether it has blocks.
    bool is_running() const { return is_running_; }

    bool is_ended() const { return is_ended_; }

    // Waits to give its blocks back: no row is planned until then.
    bool is_leaving() const { return is_ended_ || is_preempted_; }

    void preempt() { is_preempted_ = true; }

    std::int32_t num_steps_in_flight() const { return num_steps_in_flight_; }

    // The start of a run: its blocks, the first `num_cached_blocks` of them with their content.
    void begin(std::int32_t pool_index,
               std::vector<BlockId> blocks,
               std::int32_t num_cached_blocks);
    // The end of a run: no step uses the blocks. Its tokens stay, so that it can run again.
    std::vector<BlockId> leave();

    void add_blocks(const std::vector<BlockId>& blocks);

    std::int32_t pool_index() const { return pool_index_; }

    // Hash of the block at `index`, whose tokens are all known.
    const BlockHash& block_hash(std::size_t index, const BlockHasher& hasher);
    // Leading blocks whose hash is known.
    std::int64_t num_hashable_blocks() const;
    // Leading blocks that a cache can give it: all but the one that its next sampled row is in.
    std::int32_t num_cacheable_blocks() const;
    // The next full block whose rows are done and that was not handed out before.
    std::optional<std::size_t> next_full_block();

    BlockId block(std::size_t index) const { return blocks_[index]; }

    // The block that it waits for, because another sequence computes it.
    std::optional<BlockHash> awaited;

  private:
    TokenId token_at(std::int64_t position) const;
    std::int64_t num_usable_drafts() const;
    void learn_from_drafts(const PlannedRows& rows, std::int32_t num_accepted);
    std::int64_t num_next_rows(std::int64_t budget) const;
    SequenceSlice plan_slice(std::int64_t num_rows);
    TokenEvent take_sample(const SampledToken& sample);
    bool tells_prompt() const;
    bool forbids_stop_tokens() const;

    SequenceSpec spec_;
    std::int64_t arrival_;
    std::int64_t num_lookahead_;  // tokens beyond a block that its rows depend on
    std::vector<TokenId> generated_;
    std::int64_t num_told_ = 1;  // leading prompt tokens whose logprob is known or does not exist
    TokenHistory history_;       // kept when penalties need it
    DraftGate draft_gate_;
    std::vector<BlockHash> chain_;  // [0]: the root; [i + 1]: block i

    // Of the present run.
    std::int32_t pool_index_ = 0;
    std::vector<BlockId> blocks_;
    std::int64_t num_planned_ = 0;         // rows
    std::int64_t num_done_ = 0;            // rows
    std::size_t num_full_blocks_ = 0;      // handed out by next_full_block()
    std::int32_t num_sampling_ = 0;        // planned steps that sample
    std::vector<TokenId> drafts_;          // of the tokens after the known ones
    std::int32_t num_drafts_planned_ = 0;  // that a step in flight holds
    bool is_draft_asked_ = false;          // the newest step was asked for one and is in flight
    std::int32_t num_steps_in_flight_ = 0;
    std::int32_t num_cached_tokens_ = 0;  // of the first run
    bool has_run_ = false;
    bool is_running_ = false;
    bool is_preempted_ = false;
    bool is_ended_ = false;
};

}  // namespace turnpike::engine
