// StepLoop: the one thread that plans, submits and collects. It waits on nothing but its inbox and
// the device: no socket, no JSON, no tokenising.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/api/status.h"
#include "engine/core/scheduler.h"

namespace turnpike::engine {

enum class SinkVerdict {
    kContinue,
    kEnd,  // the sequence ends with this token: no row of it is planned and no event follows
};

// Called on the step thread for each event of one sequence; must not block. Not called after the
// last, whose verdict does not matter.
using EventSink = std::function<SinkVerdict(const TokenEvent&)>;

class StepLoop {
  public:
    // `runner` must outlive the loop.
    StepLoop(Runner& runner, SchedulerOptions options);

    ~StepLoop() { stop(); }

    // Aborts what is left, tells its sinks, and joins. Nothing is accepted from then on. By one
    // thread; idempotent.
    void stop();

    struct Job {
        SequenceSpec spec;
        EventSink sink;
        // Called on the step thread when the sequence leaves the queue, before its first event.
        std::function<void()> on_begin{};
    };

    // Any thread. All of the sequences or none; ids come from new_sequence_id(). Errors as
    // Scheduler::add; kUnavailable also after stop().
    Status submit(std::vector<Job> jobs);

    SequenceId new_sequence_id() { return next_id_++; }

    // Any thread: ends the sequence before the next step is planned.
    void abort(SequenceId id);

    // Any thread; as of the last step.
    Load load() const;

  private:
    struct Client {
        EventSink sink;
        std::function<void()> on_begin;
    };

    void run();
    // Moves what arrived into the scheduler; false when the loop shall end.
    bool take_inbox();
    void tell_begun();
    void deliver(const TokenEvent& event);
    void abort_all();
    void publish_load();

    Runner& runner_;
    const SchedulerOptions options_;
    Scheduler scheduler_;                             // step thread only
    std::unordered_map<SequenceId, Client> clients_;  // step thread only
    std::atomic<SequenceId> next_id_{1};

    mutable std::mutex mutex_;  // guards the rest
    std::condition_variable wake_;
    std::vector<Job> inbox_;
    std::vector<SequenceId> aborts_;
    bool is_stopping_ = false;
    Load load_;

    std::thread thread_;
};

}  // namespace turnpike::engine
