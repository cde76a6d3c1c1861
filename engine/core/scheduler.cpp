#include "engine/core/scheduler.h"

#include <algorithm>
#include <utility>

#include "config/base/check.h"
#include "config/base/limits.h"

namespace turnpike::engine {

Scheduler::Scheduler(SchedulerOptions options, PoolShape pools) : options_(options) {
    for (std::int32_t i = 0; i < pools.num_pools; ++i) pools_.emplace_back(pools.blocks_per_pool);
    CHECK(!pools_.empty() && options_.max_running > 0 &&
          options_.max_step_tokens >= options_.max_running);
}

Status Scheduler::add(SequenceSpec spec) {
    CHECK(!spec.prompt.empty() && spec.max_tokens >= 1);
    const auto num_positions = static_cast<std::int64_t>(spec.prompt.size()) + spec.max_tokens;
    if (BlockPool::blocks_for(num_positions) > pools_.front().num_blocks()) {
        return Error{
            ErrorCode::kContextLengthExceeded,
            "prompt and max_tokens need " + std::to_string(num_positions) +
                " positions of KV cache; this engine has " +
                std::to_string(std::int64_t{pools_.front().num_blocks()} * limits::kKvBlockTokens),
            "max_tokens"};
    }
    if (num_waiting() >= options_.max_waiting) {
        return Error{
            ErrorCode::kUnavailable, "the engine's queue is full: try again in a moment", {}};
    }
    waiting_.push_back(std::move(spec));
    return {};
}

void Scheduler::admit() {
    while (!waiting_.empty() && num_running() < options_.max_running) {
        const SequenceSpec& next = waiting_.front();
        const auto num_positions = static_cast<std::int64_t>(next.prompt.size()) + next.max_tokens;
        const auto roomiest = std::max_element(
            pools_.begin(), pools_.end(),
            [](const auto& a, const auto& b) { return a.num_free() < b.num_free(); });
        auto blocks = roomiest->allocate(BlockPool::blocks_for(num_positions));
        if (!blocks) return;  // the oldest waits for room; nobody overtakes it
        Sequence sequence;
        sequence.spec = std::move(waiting_.front());
        if (sequence.spec.sampling.has_penalties()) {
            sequence.history.add_prompt(sequence.spec.prompt);
        }
        sequence.pool_index = static_cast<std::int32_t>(roomiest - pools_.begin());
        sequence.blocks = std::move(*blocks);
        waiting_.pop_front();
        running_.push_back(std::move(sequence));
        by_id_[running_.back().spec.id] = std::prev(running_.end());
    }
}

StepBatch Scheduler::plan() {
    admit();
    StepBatch batch;
    std::int32_t budget = options_.max_step_tokens;
    std::vector<SequenceId> ids;
    for (Sequence& sequence : running_) {
        auto slice = next_slice(sequence, budget);
        if (!slice) continue;
        budget -= static_cast<std::int32_t>(slice->tokens.size());
        ids.push_back(sequence.spec.id);
        batch.slices.push_back(std::move(*slice));
    }
    if (batch.slices.empty()) return batch;
    batch.step = next_step_++;
    planned_.push_back(std::move(ids));
    return batch;
}

std::optional<SequenceSlice> Scheduler::next_slice(Sequence& sequence, std::int32_t budget) {
    const auto num_prompt = static_cast<std::int64_t>(sequence.spec.prompt.size());
    const bool is_all_scheduled = sequence.num_samples_scheduled >= sequence.spec.max_tokens;
    if (sequence.is_ended || is_all_scheduled || budget <= 0) return {};
    SequenceSlice slice;
    slice.sequence = sequence.spec.id;
    slice.pool_index = sequence.pool_index;
    slice.first_position = static_cast<std::int32_t>(sequence.num_scheduled);
    slice.num_prompt_tokens = static_cast<std::int32_t>(num_prompt);
    slice.choice_index = sequence.spec.choice_index;
    slice.sampling = sequence.spec.sampling;
    if (sequence.num_scheduled < num_prompt) {
        const std::int64_t count =
            std::min<std::int64_t>(budget, num_prompt - sequence.num_scheduled);
        const auto begin = sequence.spec.prompt.begin() + sequence.num_scheduled;
        slice.tokens.assign(begin, begin + count);
        sequence.num_scheduled += count;
        slice.is_sampled = sequence.num_scheduled == num_prompt;
    } else {
        const auto index = static_cast<std::size_t>(sequence.num_scheduled - num_prompt);
        slice.tokens.push_back(index < sequence.generated.size() ? sequence.generated[index]
                                                                 : kTokenInFlight);
        ++sequence.num_scheduled;
        slice.is_sampled = true;
    }
    const auto num_blocks = BlockPool::blocks_for(sequence.num_scheduled);
    slice.block_table.assign(sequence.blocks.begin(), sequence.blocks.begin() + num_blocks);
    if (slice.is_sampled && slice.sampling.has_penalties()) slice.seen = sequence.history.seen();
    sequence.num_samples_scheduled += slice.is_sampled ? 1 : 0;
    ++sequence.num_steps_in_flight;
    return slice;
}

std::vector<TokenEvent> Scheduler::collect(const StepResult& result) {
    CHECK(!planned_.empty());
    const std::vector<SequenceId> ids = std::move(planned_.front());
    planned_.pop_front();
    std::vector<TokenEvent> events;
    for (const SampledToken& sample : result.samples) {
        Sequence& sequence = *by_id_.at(sample.sequence);
        if (sequence.is_ended)
            continue;  // sampled after its end, by a step that was already planned
        sequence.generated.push_back(sample.token);
        if (sequence.spec.sampling.has_penalties()) sequence.history.add_generated(sample.token);
        const auto& stops = sequence.spec.stop_tokens;
        TokenEvent event;
        event.sequence = sample.sequence;
        event.token = sample.token;
        event.logprob = sample.logprob;
        event.alternatives = sample.alternatives;
        if (std::find(stops.begin(), stops.end(), sample.token) != stops.end()) {
            event.finish_reason = FinishReason::kStop;
        } else if (static_cast<std::int32_t>(sequence.generated.size()) >=
                   sequence.spec.max_tokens) {
            event.finish_reason = FinishReason::kLength;
        }
        sequence.is_ended = event.is_last();
        events.push_back(event);
    }
    for (const SequenceId id : ids) {
        const auto sequence = by_id_.at(id);
        --sequence->num_steps_in_flight;
        release_if_done(sequence);
    }
    return events;
}

std::optional<TokenEvent> Scheduler::abort(SequenceId id) {
    TokenEvent aborted;
    aborted.sequence = id;
    aborted.is_aborted = true;
    const auto queued = std::find_if(waiting_.begin(), waiting_.end(),
                                     [&](const auto& spec) { return spec.id == id; });
    if (queued != waiting_.end()) {
        waiting_.erase(queued);
        return aborted;
    }
    const auto entry = by_id_.find(id);
    if (entry == by_id_.end() || entry->second->is_ended) return {};
    entry->second->is_ended = true;
    release_if_done(entry->second);
    return aborted;
}

void Scheduler::release_if_done(std::list<Sequence>::iterator sequence) {
    if (!sequence->is_ended || sequence->num_steps_in_flight > 0) return;
    pools_[static_cast<std::size_t>(sequence->pool_index)].free(sequence->blocks);
    by_id_.erase(sequence->spec.id);
    running_.erase(sequence);
}

std::int64_t Scheduler::num_blocks_free() const {
    std::int64_t total = 0;
    for (const BlockPool& pool : pools_) total += pool.num_free();
    return total;
}

std::int64_t Scheduler::num_blocks() const {
    std::int64_t total = 0;
    for (const BlockPool& pool : pools_) total += pool.num_blocks();
    return total;
}

}  // namespace turnpike::engine
