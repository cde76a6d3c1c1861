// SystemdNotifier: what an engine tells the systemd that started it: its state, and by feeding the
// watchdog that it gets on. By one thread, the main one, which has nothing else to do and would not
// see SIGTERM either if it hung.
#pragma once

#include <chrono>

#include "config/base/clock.h"
#include "config/base/notify.h"
#include "engine/api/status.h"
#include "engine/serve/watchdog.h"

namespace turnpike::engine {

// When to feed: each third of the watchdog's period while steps end or nothing waits. An engine
// whose step takes longer than a third is fed when it has ended, in time if it took less than the
// whole period. Pure.
class FeedingRule {
  public:
    // 0: never.
    explicit FeedingRule(std::chrono::microseconds period);

    // To be asked often, compared to a third of the period.
    bool is_due(SteadyTime now, const Load& load);

    void fed(SteadyTime now) { next_at_ = now + third_; }

  private:
    const std::chrono::milliseconds third_;
    Watchdog watchdog_;
    SteadyTime next_at_{};
};

class SystemdNotifier {
  public:
    // `notifier` outlives it.
    explicit SystemdNotifier(const Notifier& notifier)
        : notifier_(notifier), feeding_(notifier.watchdog()) {}

    // The socket is open.
    void listening();
    // To be told often; see FeedingRule. An engine that loads has no load, and is fed.
    void observe(SteadyTime now, EngineState state, const Load& load);

  private:
    const Notifier& notifier_;
    EngineState told_ = EngineState::kLoading;
    FeedingRule feeding_;
};

}  // namespace turnpike::engine
