#include "engine/serve/watchdog.h"

#include <utility>

namespace turnpike::engine {

std::optional<std::string> Watchdog::observe(SteadyTime now, const Load& load) {
    const bool has_work = load.num_running + load.num_waiting > 0;
    const bool has_stepped = load.num_steps != num_steps_;
    const bool had_work = std::exchange(had_work_, has_work);
    num_steps_ = load.num_steps;
    if (!has_work || !had_work || has_stepped) progress_at_ = now;
    if (limit_.count() == 0 || now - progress_at_ <= limit_) return {};
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - progress_at_);
    return "no step has ended for " + std::to_string(seconds.count()) + " s with " +
           std::to_string(load.num_running) + " sequences running and " +
           std::to_string(load.num_waiting) + " waiting; watchdog_seconds allows " +
           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit_).count());
}

}  // namespace turnpike::engine
