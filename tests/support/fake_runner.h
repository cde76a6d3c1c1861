// FakeRunner: steps without tensors. Each sampled token is a function of the slice and the token's
// position, and so is each draft; a test may hold steps back and let them go one by one. Checks
// what a real runner relies on: the order of positions, and which rows may be in flight.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "config/base/check.h"
#include "engine/core/batch.h"

namespace turnpike::test {

class FakeRunner final : public engine::Runner {
  public:
    using Sample =
        std::function<TokenId(const engine::SequenceSlice& slice, std::int32_t position)>;

    // Without `draft` it is a runner that cannot.
    FakeRunner(engine::PoolShape pools, std::int32_t depth, Sample sample, Sample draft = nullptr)
        : pools_(pools), depth_(depth), sample_(std::move(sample)), draft_(std::move(draft)) {}

    engine::PoolShape pool_shape() const override { return pools_; }

    std::int32_t max_steps_in_flight() const override { return depth_; }

    std::int32_t vocab_size() const override { return 1 << 20; }

    void submit(const engine::StepBatch& batch) override {
        const std::lock_guard lock(mutex_);
        CHECK(static_cast<std::int32_t>(submitted_.size()) < depth_);
        engine::StepResult result{batch.step, {}};
        for (const engine::SequenceSlice& slice : batch.slices) {
            const auto num_rows = static_cast<std::int32_t>(slice.tokens.size());
            auto& next_position = next_position_[slice.sequence];
            CHECK(slice.first_position == next_position);
            CHECK(slice.num_draft_tokens < num_rows);
            next_position += num_rows - slice.num_draft_tokens;
            check_newest_row(slice);
            if (slice.tells_prompt) tell_prompt(slice, result);
            if (slice.is_sampled) sample(slice, next_position, result);
        }
        submitted_.push_back(std::move(result));
        ++num_submitted_;
        changed_.notify_all();
    }

    engine::StepResult collect() override {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return is_open_ || num_permits_ > 0; });
        if (!is_open_) --num_permits_;
        engine::StepResult result = std::move(submitted_.front());
        submitted_.pop_front();
        return result;
    }

    // From now on each collect() waits for one allow().
    void hold() {
        const std::lock_guard lock(mutex_);
        is_open_ = false;
    }

    void allow(int num_steps) {
        const std::lock_guard lock(mutex_);
        num_permits_ += num_steps;
        changed_.notify_all();
    }

    void release() {
        const std::lock_guard lock(mutex_);
        is_open_ = true;
        changed_.notify_all();
    }

    // Sequence ids begin anew: between loops.
    void forget() {
        const std::lock_guard lock(mutex_);
        CHECK(submitted_.empty());
        next_position_.clear();
        last_token_.clear();
    }

    // Waits until that many steps have been submitted since the start.
    void wait_submitted(int num_steps) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return num_submitted_ >= num_steps; });
    }

    int num_submitted() const {
        const std::lock_guard lock(mutex_);
        return num_submitted_;
    }

    // Each prompt token's logprob is minus its position.
    static void tell_prompt(const engine::SequenceSlice& slice, engine::StepResult& result) {
        const auto num_rows = static_cast<std::int32_t>(slice.tokens.size());
        for (std::int32_t row = 0; row < num_rows; ++row) {
            const std::int32_t position = slice.first_position + row + 1;
            if (position >= slice.num_prompt_tokens) return;
            const TokenId token = row + 1 < num_rows
                                      ? slice.tokens[static_cast<std::size_t>(row) + 1]
                                      : slice.next_token;
            CHECK(token != engine::kTokenInFlight);
            result.prompt_tokens.push_back(
                {slice.sequence, position, token, -static_cast<float>(position)});
        }
    }

  private:
    // `next_position`: of the first row that is a draft, or of the next slice.
    void sample(const engine::SequenceSlice& slice,
                std::int32_t& next_position,
                engine::StepResult& result) {
        auto draft = slice.tokens.end() - slice.num_draft_tokens;
        while (true) {
            const TokenId token = sample_(slice, next_position);
            last_token_[slice.sequence] = token;
            result.samples.push_back({slice.sequence, next_position, token, 0.0F});
            if (draft == slice.tokens.end() || *draft != token) break;
            ++draft;
            ++next_position;
        }
        for (std::int32_t i = 1; draft_ && i <= slice.num_wanted_drafts; ++i)
            result.samples.back().drafts.push_back(draft_(slice, next_position + i));
    }

    // A generated row holds the token that was sampled last, or stands for it while it is in
    // flight.
    void check_newest_row(const engine::SequenceSlice& slice) const {
        const bool is_generated = slice.first_position >= slice.num_prompt_tokens;
        if (!is_generated) return;
        const TokenId token = *(slice.tokens.end() - slice.num_draft_tokens - 1);
        CHECK(token == engine::kTokenInFlight || token == last_token_.at(slice.sequence));
        CHECK(token != engine::kTokenInFlight || slice.num_draft_tokens == 0);
        CHECK(token != engine::kTokenInFlight || !submitted_.empty());
    }

    const engine::PoolShape pools_;
    const std::int32_t depth_;
    const Sample sample_;
    const Sample draft_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<engine::StepResult> submitted_;
    std::map<engine::SequenceId, std::int32_t> next_position_;
    std::map<engine::SequenceId, TokenId> last_token_;
    bool is_open_ = true;
    int num_permits_ = 0;
    int num_submitted_ = 0;
};

}  // namespace turnpike::test
