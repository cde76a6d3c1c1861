// ReconcileLoop: the thread that makes the world what the store wants. Woken by commits, by ended
// processes and by time; what woke it carries no data, each pass looks at everything.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "controlplane/run/loop_metrics.h"
#include "controlplane/run/pass.h"

namespace turnpike::controlplane {

class ReconcileLoop {
  public:
    // All outlive the loop. Subscribes to the store. Nothing runs before start().
    ReconcileLoop(
        ReconcileOptions options, Store& store, Driver& driver, const Clock& clock, Log& log);
    // Ends the thread after the action in progress. Replicas keep running.
    ~ReconcileLoop();
    ReconcileLoop(const ReconcileLoop&) = delete;
    ReconcileLoop& operator=(const ReconcileLoop&) = delete;

    // `on_turn`, which may be empty, is called on the loop's thread before each pass and each
    // action.
    void start(std::function<void()> on_turn = {});
    // Thread-safe: a pass begins soon.
    void wake();
    // Thread-safe: from now on every replica is drained, until the process ends. `on_parked` runs
    // on the loop's thread, with `true` when no replica runs any more, or with `false` after
    // `timeout` or when the loop ends.
    void park(std::chrono::milliseconds timeout, std::function<void(bool)> on_parked);

    // Thread-safe.
    const LoopMetrics& metrics() const { return metrics_; }

  private:
    struct Waiter {
        SteadyTime deadline;
        std::function<void(bool)> on_parked;
    };

    void run();
    bool wait(bool is_settling);
    bool run_pass();
    void turn();
    void answer_waiters(bool nothing_runs, bool is_last);

    Store& store_;
    const Clock& clock_;
    LoopMetrics metrics_;
    ReconcilePass pass_;             // of the loop's thread
    std::function<void()> on_turn_;  // of the loop's thread
    int subscription_ = 0;
    std::mutex mutex_;
    std::condition_variable woken_;
    bool is_woken_ = true;         // guarded by mutex_
    bool is_stopping_ = false;     // guarded by mutex_
    bool is_parked_ = false;       // guarded by mutex_
    std::vector<Waiter> waiters_;  // guarded by mutex_
    std::thread thread_;
};

}  // namespace turnpike::controlplane
