// Watchdog: notices an engine that has work and does not get on with it. Pure: time and load are
// arguments. By one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "config/base/clock.h"
#include "engine/api/status.h"

namespace turnpike::engine {

class Watchdog {
  public:
    // How long a step may take; 0 = for ever.
    explicit Watchdog(std::chrono::milliseconds limit) : limit_(limit) {}

    // To be told often, compared to the limit. What is wrong, once there was work and no step ended
    // for longer than the limit. An engine without work is healthy.
    std::optional<std::string> observe(SteadyTime now, const Load& load);

  private:
    const std::chrono::milliseconds limit_;
    SteadyTime progress_at_{};  // of the last step, or when work came
    std::int64_t num_steps_ = 0;
    bool had_work_ = false;
};

}  // namespace turnpike::engine
