// TokenRate: tokens per second over the last seconds, from a count that only grows. Pure: time is
// an argument. By one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>

#include "config/base/clock.h"

namespace turnpike::engine {

class TokenRate {
  public:
    // To be told often; `total` since the start. The mean over the last ten seconds, or over the
    // time since the first call when that is less.
    double sample(SteadyTime now, std::int64_t total);

  private:
    std::deque<std::pair<SteadyTime, std::int64_t>> samples_;  // a second apart, the oldest first
};

}  // namespace turnpike::engine
