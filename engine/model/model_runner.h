// ModelRunner: a loaded model as the scheduler's Runner. Computes within submit().
//
// Drafts: with the draft layer loaded, that layer's keys and values are written for every row that
// the model takes, with the token that follows it, so that they are there whenever a draft is
// wanted. The rest of the layer runs over the rows that one is wanted of. Where more are wanted,
// the layer runs again over its own output and the draft it gave, as often as that. A draft is
// picked with the noise that will pick the token (Gumbel-max with common random numbers), which is
// what makes the two agree as often as they can.
#pragma once

#include <deque>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/core/batch.h"
#include "engine/model/opened_model.h"
#include "kernels/api/sampler.h"

namespace turnpike::engine {

// Builds the rows of a step from slices.
struct StepRows {
    ForwardRows rows;

    // Appends rows at first_position and on; those below num_prompt_tokens are prompt rows. blocks
    // outlives the forward pass. Returns the index of the last row.
    std::int64_t add_rows(std::span<const TokenId> tokens,
                          std::int64_t first_position,
                          std::int64_t num_prompt_tokens,
                          std::span<const BlockId> blocks);
};

class ModelRunner final : public Runner {
  public:
    explicit ModelRunner(OpenedModel opened);

    PoolShape pool_shape() const override;

    std::int32_t max_steps_in_flight() const override { return 1; }

    std::int32_t vocab_size() const override;
    void submit(const StepBatch& batch) override;
    StepResult collect() override;

  private:
    // A slice's place in the rows and the samples of its step.
    struct Place {
        std::vector<TokenId> tokens;  // none in flight
        std::int64_t first_row = 0;
        std::size_t first_told = 0;  // of the prompt's own tokens
        std::size_t num_told = 0;
        std::size_t first_sample = 0;
        std::size_t num_samples = 0;    // one, and one for each draft
        std::size_t num_accepted = 0;   // drafts
        std::size_t last_result = 0;    // of a sampled slice: index of its last sample
        TokenId last_sample = 0;        // the token after the last row that counts
        std::int32_t end_position = 0;  // its position
    };

    // Drafts of one sequence, one after the other.
    struct Chain {
        const SequenceSlice* slice = nullptr;
        SampledToken* sample = nullptr;  // that they follow
        std::vector<TokenId> newer;      // tokens that the plan did not know, and the drafts so far
        std::int32_t position = 0;       // of the next draft
    };

    void check_slice(const SequenceSlice& slice) const;
    std::vector<TokenId> resolved_tokens(const SequenceSlice& slice) const;
    std::vector<TokenId> told_tokens(const SequenceSlice& slice) const;
    std::vector<kernels::SampledRow> run(const StepBatch& batch, std::vector<Place>& places);
    void take_prompt_tokens(const StepBatch& batch,
                            const std::vector<Place>& places,
                            const std::vector<kernels::SampledRow>& sampled,
                            StepResult& result) const;
    void take_samples(const StepBatch& batch,
                      std::vector<Place>& places,
                      const std::vector<kernels::SampledRow>& sampled,
                      StepResult& result);
    void draft(const StepBatch& batch, const std::vector<Place>& places, StepResult& result);
    void take_drafts(const DraftRows& rows, std::vector<Chain>& chains);
    std::vector<Chain> draft_on(std::vector<Chain> chains);

    OpenedModel opened_;
    std::deque<StepResult> done_;
    std::unordered_map<SequenceId, TokenId> last_samples_;  // of the newest step
};

}  // namespace turnpike::engine
