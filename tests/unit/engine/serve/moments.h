// Moments and loads for what looks at an engine over time: time is a number of seconds.
#pragma once

#include <chrono>
#include <cstdint>

#include "config/base/clock.h"
#include "engine/api/status.h"

namespace turnpike::engine {

inline SteadyTime at(int seconds) {
    return SteadyTime(std::chrono::seconds(seconds));
}

inline Load load_of(std::int64_t running, std::int64_t waiting, std::int64_t steps) {
    Load load;
    load.num_running = running;
    load.num_waiting = waiting;
    load.num_steps = steps;
    return load;
}

}  // namespace turnpike::engine
