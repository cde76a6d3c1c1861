// LoopMetrics: what the reconcile loop counts of its work, for Prometheus. Label sets are closed:
// kinds of actions and directions, never a name. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>
#include <variant>

#include "config/base/clock.h"
#include "config/base/metrics.h"
#include "controlplane/plan/reconcile.h"

namespace turnpike::controlplane {

// What the autoscaler decided of an endpoint; kStop: nobody asked for so long that it is stopped.
enum class ScaleDirection { kUp, kDown, kStop };

struct LoopMetrics {
    static constexpr std::size_t kNumKinds = std::variant_size_v<Action>;
    static constexpr std::size_t kNumDirections = 3;

    LoopMetrics();

    // An action that was performed, or could not be. `observed`: what its pass began with.
    void note(const Action& action, bool is_done, const Observed& observed);
    void note_decision(ScaleDirection direction);
    // A pass that came to its end, or one that could not see what there is.
    void note_pass(SteadyTime began, SteadyTime now, bool is_complete);
    // Since the last complete pass ended; since `start` before the first.
    double seconds_since_pass(SteadyTime start, SteadyTime now) const;

    Histogram pass_s;  // complete ones
    Counter passes_failed;
    std::array<Counter, kNumKinds> actions_done;  // by the place in Action
    std::array<Counter, kNumKinds> actions_failed;
    Counter replica_failures;  // replicas that ended, hung or did not start
    Counter restarts;          // starts after such a failure
    std::array<Counter, kNumDirections> decisions;
    Counter minutes_booked;

  private:
    std::atomic<SteadyTime::rep> last_pass_{0};  // 0: none yet
};

// Every family of it. `started_at`: of the process.
void write_loop_metrics(MetricsText& out,
                        const LoopMetrics& metrics,
                        SteadyTime started_at,
                        SteadyTime now);

}  // namespace turnpike::controlplane
