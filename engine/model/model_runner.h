// ModelRunner: a loaded model as the scheduler's Runner. Computes within submit().
#pragma once

#include <deque>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/core/batch.h"
#include "engine/model/opened_model.h"

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
    void check_slice(const SequenceSlice& slice) const;
    std::vector<TokenId> resolved_tokens(const SequenceSlice& slice) const;

    OpenedModel opened_;
    std::deque<StepResult> done_;
    std::unordered_map<SequenceId, TokenId> last_samples_;  // of the newest step
};

}  // namespace turnpike::engine
