// Outliers: replicas that fail again and again are left out for a while, then tried with one
// request (Envoy's outlier detection, and the half-open state of circuit breakers). One gateway
// thread's own view; pure, the time is an argument.
#pragma once

#include <chrono>
#include <unordered_map>

#include "config/base/clock.h"
#include "config/base/ids.h"

namespace turnpike::gateway {

class Outliers {
  public:
    // In a row; one alone is a connection that broke.
    static constexpr int kFailures = 3;
    static constexpr std::chrono::milliseconds kFirstTime{1'000};
    static constexpr std::chrono::milliseconds kLongestTime{30'000};

    enum class State {
        kUsable,
        kEjected,   // not now
        kHalfOpen,  // for one request, which begin() tells of
    };

    State state(const ReplicaId& replica, SteadyTime now) const;

    // A request goes to it. Of a half-open replica it is the only one until it has ended.
    void begin(const ReplicaId& replica, SteadyTime now);
    // It could not be reached, or was lost before its reply began.
    void note_failure(const ReplicaId& replica, SteadyTime now);
    // Its reply began.
    void note_success(const ReplicaId& replica);

  private:
    struct Entry {
        int num_failures = 0;  // in a row
        std::chrono::milliseconds time{0};
        SteadyTime until;  // ejected, or being tried
    };

    std::unordered_map<ReplicaId, Entry> entries_;  // of those that failed last
};

}  // namespace turnpike::gateway
