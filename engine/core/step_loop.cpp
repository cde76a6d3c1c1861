#include "engine/core/step_loop.h"

#include <algorithm>
#include <utility>

#include "config/base/check.h"
#include "config/base/limits.h"

namespace turnpike::engine {
namespace {

// The inbox is bounded by submit(); the scheduler's own bound only guards against a mistake there.
SchedulerOptions with_room_for_inbox(SchedulerOptions options) {
    options.max_waiting += limits::kMaxChoices;
    return options;
}

}  // namespace

StepLoop::StepLoop(Runner& runner, SchedulerOptions options)
    : runner_(runner),
      options_(options),
      scheduler_(with_room_for_inbox(options), runner.pool_shape()),
      thread_([this] { run(); }) {}

void StepLoop::stop() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

Status StepLoop::submit(std::vector<Job> jobs) {
    for (const Job& job : jobs) RETURN_IF_ERROR(check_fits(job.spec, runner_.pool_shape()));
    {
        const std::lock_guard lock(mutex_);
        if (is_stopping_) return Error{ErrorCode::kUnavailable, "the engine is stopping", {}};
        const auto num_queued = inbox_.size() + static_cast<std::size_t>(load_.num_waiting);
        if (num_queued + jobs.size() > static_cast<std::size_t>(options_.max_waiting)) {
            return Error{
                ErrorCode::kUnavailable, "the engine's queue is full: try again in a moment", {}};
        }
        for (Job& job : jobs) inbox_.push_back(std::move(job));
    }
    wake_.notify_one();
    return {};
}

void StepLoop::abort(SequenceId id) {
    {
        const std::lock_guard lock(mutex_);
        aborts_.push_back(id);
    }
    wake_.notify_one();
}

Load StepLoop::load() const {
    const std::lock_guard lock(mutex_);
    Load load = load_;
    load.num_waiting += static_cast<std::int64_t>(inbox_.size());
    return load;
}

bool StepLoop::take_inbox() {
    std::vector<Job> jobs;
    std::vector<SequenceId> aborts;
    {
        std::unique_lock lock(mutex_);
        if (scheduler_.is_idle()) {
            wake_.wait(lock,
                       [this] { return is_stopping_ || !inbox_.empty() || !aborts_.empty(); });
        }
        if (is_stopping_) return false;
        jobs.swap(inbox_);
        aborts.swap(aborts_);
        load_.num_waiting += static_cast<std::int64_t>(jobs.size());
    }
    for (Job& job : jobs) {
        const SequenceId id = job.spec.id;
        clients_.emplace(id, Client{std::move(job.sink), std::move(job.on_begin)});
        CHECK(scheduler_.add(std::move(job.spec)).has_value());
    }
    for (const SequenceId id : aborts) {
        if (const auto event = scheduler_.abort(id)) deliver(*event);
    }
    return true;
}

void StepLoop::tell_begun() {
    for (const SequenceId id : scheduler_.take_begun()) {
        const auto client = clients_.find(id);
        if (client != clients_.end() && client->second.on_begin) client->second.on_begin();
    }
}

void StepLoop::deliver(const TokenEvent& event) {
    const auto client = clients_.find(event.sequence);
    // A verdict ended it: tokens of the same step that come after are no part of its answer.
    if (client == clients_.end()) return;
    if (event.token) {
        const std::lock_guard lock(mutex_);
        ++load_.generated_tokens;
    }
    const SinkVerdict verdict = client->second.sink(event);
    if (!event.is_last() && verdict == SinkVerdict::kContinue) return;
    if (!event.is_last()) (void)scheduler_.abort(event.sequence);
    clients_.erase(client);
}

void StepLoop::abort_all() {
    std::vector<Job> jobs;
    {
        const std::lock_guard lock(mutex_);
        jobs.swap(inbox_);
    }
    for (Job& job : jobs) clients_.emplace(job.spec.id, Client{std::move(job.sink), {}});
    for (const auto& [id, client] : clients_) {
        (void)client.sink(TokenEvent{id, std::nullopt, std::nullopt, true});
        (void)scheduler_.abort(id);
    }
    clients_.clear();
}

void StepLoop::run() {
    const std::int32_t depth = std::min(runner_.max_steps_in_flight(), limits::kMaxStepsInFlight);
    while (take_inbox()) {
        while (scheduler_.num_steps_in_flight() < depth) {
            const StepBatch batch = scheduler_.plan();
            tell_begun();
            // Before the device knows: who sees the step sees the queue without what it took.
            publish_load();
            if (batch.slices.empty()) break;
            runner_.submit(batch);
        }
        if (scheduler_.num_steps_in_flight() == 0) continue;
        const std::vector<TokenEvent> events = scheduler_.collect(runner_.collect());
        {
            const std::lock_guard lock(mutex_);
            ++load_.num_steps;
        }
        for (const TokenEvent& event : events) deliver(event);
        publish_load();
    }
    while (scheduler_.num_steps_in_flight() > 0) (void)scheduler_.collect(runner_.collect());
    abort_all();
    publish_load();
}

void StepLoop::publish_load() {
    const std::lock_guard lock(mutex_);
    load_.num_running = scheduler_.num_running();
    load_.num_waiting = scheduler_.num_waiting();
    load_.kv_blocks_total = scheduler_.num_blocks();
    load_.kv_blocks_used = scheduler_.num_blocks() - scheduler_.num_blocks_free();
    const SchedulerCounters& counters = scheduler_.counters();
    load_.num_preemptions = counters.num_preemptions;
    load_.cache_queried_tokens = counters.num_cache_queried_tokens;
    load_.cache_hit_tokens = counters.num_cache_hit_tokens;
    load_.num_drafts = counters.num_drafts;
    load_.draft_tokens = counters.num_draft_tokens;
    load_.accepted_at.assign(counters.num_accepted_at.begin(),
                             counters.num_accepted_at.begin() + options_.num_speculative_tokens);
    load_.accepted_tokens = counters.num_accepted_tokens;
}

}  // namespace turnpike::engine
