#include "engine/serve/systemd_notifier.h"

namespace turnpike::engine {

// A millisecond more, so that a third is never 0, which a Watchdog takes for "never".
FeedingRule::FeedingRule(std::chrono::microseconds period)
    : third_(std::chrono::ceil<std::chrono::milliseconds>(period) / 3 +
             std::chrono::milliseconds(period.count() > 0 ? 1 : 0)),
      watchdog_(third_) {}

bool FeedingRule::is_due(SteadyTime now, const Load& load) {
    if (third_.count() == 0) return false;
    return !watchdog_.observe(now, load) && now >= next_at_;
}

void SystemdNotifier::listening() {
    notifier_.ready(to_string(told_));
}

void SystemdNotifier::observe(SteadyTime now, EngineState state, const Load& load) {
    if (state != told_) {
        told_ = state;
        if (state == EngineState::kDraining) {
            notifier_.stopping(to_string(state));
        } else {
            notifier_.status(to_string(state));
        }
    }
    if (state == EngineState::kFailed) return;
    if (feeding_.is_due(now, load) && notifier_.feed()) feeding_.fed(now);
}

}  // namespace turnpike::engine
