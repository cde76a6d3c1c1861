// RetentionJob: deletes what is too old once a day, at the first pass of a UTC day. Fed once a
// pass.
#pragma once

#include "config/base/clock.h"
#include "config/base/log.h"
#include "controlplane/store/retention.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// What fails, or is being read, is tried again after so long.
inline constexpr auto kRetentionRetry = std::chrono::minutes(10);

class RetentionJob {
  public:
    // All outlive it.
    RetentionJob(const RetentionPolicy& policy, Store& store, Log& log)
        : policy_(policy), store_(store), log_(log) {}

    void run(WallTime now);

  private:
    void tell(const Retained& retained);

    const RetentionPolicy policy_;
    Store& store_;
    Log& log_;
    WallTime next_at_{};
};

}  // namespace turnpike::controlplane
