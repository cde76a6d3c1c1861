// The seam between policy and tensors: what the scheduler asks of a step, and what comes back.
// engine/core fills StepBatch and knows no tensor; engine/model runs it and knows no policy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/base/ids.h"
#include "engine/api/sampling.h"

namespace turnpike::engine {

using SequenceId = std::int64_t;  // unique within one engine process
using BlockId = std::int32_t;     // index into one block pool

// A row's token that an earlier step, still in flight, will sample. The runner fills it in; only
// the last row of a slice without drafts may hold it.
inline constexpr TokenId kTokenInFlight = -1;

// A distinct token of a sequence.
struct SeenToken {
    TokenId token = 0;
    std::int32_t num_generated = 0;  // times in the output; 0 = in the prompt only
};

// Consecutive rows of one sequence in one step: a chunk of its prompt, or its newest token and
// drafts of those that follow it.
//
// What grows with the sequence's life or its request is not copied into every step: pointers and
// spans are views of the scheduler's own. `seen` holds until the next collect(), which may change
// it while a later step is in flight; the others hold until the step's result is collected.
struct SequenceSlice {
    SequenceId sequence = 0;
    std::int32_t pool_index = 0;      // which block pool (data-parallel rank) holds its KV
    std::vector<TokenId> tokens;      // one per row
    std::int32_t first_position = 0;  // position of tokens[0]
    // Rows at positions below this are prompt rows (naive MLA), the rest generated rows (absorbed
    // MLA), also when they are recomputed after a preemption.
    std::int32_t num_prompt_tokens = 0;
    // KV blocks of limits::kKvBlockTokens positions, covering [0, first_position + tokens.size()),
    // and as many positions more as drafts are wanted after the first.
    std::vector<BlockId> block_table;
    // How many of the last tokens are drafts: guesses of what the rows before them sample. Only of
    // a sampled slice without allowed_tokens. The bits of a row do not depend on it.
    std::int32_t num_draft_tokens = 0;
    // Sample the token after the last row that holds no draft, and the one after each draft that
    // is accepted: a draft is accepted when it is what was sampled for its position and so were
    // those before it.
    bool is_sampled = false;
    // Of a sampled slice: how many of the tokens after the last sampled one to guess.
    std::int32_t num_wanted_drafts = 0;
    TokenId next_token = kTokenInFlight;  // of a slice that is not sampled: after its last row
    // Tell the logprob of the prompt's next token after each prompt row; the first
    // num_prompt_tokens - 1 rows of a sequence have one.
    bool tells_prompt = false;
    std::int32_t choice_index = 0;  // noise of the sampler: (sampling.seed, choice_index, position)
    const SamplingParams* sampling = nullptr;     // never null from the scheduler
    std::span<const TokenId> forbidden_tokens{};  // that must not be sampled, whatever their bias
    // Of a sampled slice with penalties: the distinct tokens of prompt and output that were known
    // when the step was planned. The runner adds a token in flight.
    std::span<const SeenToken> seen{};
    // Bit t % 32 of word t / 32 says whether token t may be sampled; empty = every token.
    std::vector<std::uint32_t> allowed_tokens;
};

struct StepBatch {
    std::int64_t step = 0;
    std::vector<SequenceSlice> slices;
};

struct SampledToken {
    SequenceId sequence = 0;
    std::int32_t position = 0;  // of the sampled token
    TokenId token = 0;
    float logprob = 0.0F;                      // as TokenLogprob
    std::vector<TokenLogprob> alternatives{};  // as many as asked for, the likeliest first
    // Of the last sample of a slice that wants drafts, from a runner that can: guesses of the next
    // tokens, in order, at most as many as are wanted.
    std::vector<TokenId> drafts{};
};

struct StepResult {
    std::int64_t step = 0;
    // In slice order, sampled slices only; by position, one more for each draft accepted.
    std::vector<SampledToken> samples;
    // Of slices that tell the prompt, in slice order and by position: the prompt's own tokens.
    std::vector<SampledToken> prompt_tokens{};
};

struct PoolShape {
    std::int32_t num_pools = 1;
    std::int32_t blocks_per_pool = 0;
};

// Runs steps in the order of submission. submit() may return before the work is done, but has read
// what the slices point to by then; collect()
// waits for the oldest submitted step. At most limits::kMaxStepsInFlight are outstanding. Both are
// called by the step thread only. A device fault aborts the process.
class Runner {
  public:
    virtual ~Runner() = default;
    virtual PoolShape pool_shape() const = 0;
    virtual std::int32_t max_steps_in_flight() const = 0;
    virtual std::int32_t vocab_size() const = 0;
    virtual void submit(const StepBatch& batch) = 0;
    virtual StepResult collect() = 0;
};

}  // namespace turnpike::engine
