// Takes the place of load_runner() in a copy of turnpike-engine (by the linker's --wrap): a runner
// without tensors, so that what the process uses is all but the kernels. A step takes 10 ms of
// waiting, as steps of a model do, and no CPU: else the steps would run ahead of the sockets, and
// many tokens would share a write.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "config/base/limits.h"
#include "engine/model/load.h"

namespace turnpike::engine {
namespace {

constexpr auto kStepTime = std::chrono::milliseconds(10);
constexpr TokenId kFirstToken = 300;  // above the special tokens and single bytes of any tokenizer

class InstantRunner final : public Runner {
  public:
    explicit InstantRunner(const RunnerOptions& options)
        : num_tokens_(options.num_tokens),
          num_blocks_(static_cast<std::int32_t>(options.kv_tokens / limits::kKvBlockTokens)) {}

    PoolShape pool_shape() const override { return {1, num_blocks_}; }

    std::int32_t max_steps_in_flight() const override { return 1; }

    std::int32_t vocab_size() const override { return num_tokens_; }

    void submit(const StepBatch& batch) override {
        StepResult result{batch.step, {}};
        for (const SequenceSlice& slice : batch.slices) {
            if (!slice.is_sampled) continue;
            const auto position =
                slice.first_position + static_cast<std::int32_t>(slice.tokens.size());
            const auto token = static_cast<TokenId>(
                kFirstToken + (slice.sequence * 7919 + position) % (num_tokens_ - kFirstToken));
            result.samples.push_back({slice.sequence, position, token, 0.0F, {}, {}});
        }
        done_.push_back(std::move(result));
    }

    StepResult collect() override {
        std::unique_lock lock(mutex_);
        never_.wait_for(lock, kStepTime, [] { return false; });
        StepResult result = std::move(done_.front());
        done_.pop_front();
        return result;
    }

  private:
    const std::int32_t num_tokens_;
    const std::int32_t num_blocks_;
    std::deque<StepResult> done_;
    std::mutex mutex_;
    std::condition_variable never_;
};

}  // namespace

Result<std::unique_ptr<Runner>> make_instant_runner(const RunnerOptions& options) __asm__(
    "__wrap__ZN8turnpike6engine11load_runnerERKNS0_13RunnerOptionsE");

Result<std::unique_ptr<Runner>> make_instant_runner(const RunnerOptions& options) {
    std::unique_ptr<Runner> runner = std::make_unique<InstantRunner>(options);
    return runner;
}

}  // namespace turnpike::engine
