// MinuteBilling: books the minutes of dedicated replicas as they pass, and stops the endpoints of
// those whose credit has been gone for a while. Fed once a pass.
#pragma once

#include <set>
#include <utility>

#include "config/base/log.h"
#include "config/base/money.h"
#include "controlplane/plan/reconcile.h"
#include "controlplane/run/loop_metrics.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// How long dedicated replicas go on serving when the credit is gone.
inline constexpr auto kCreditGrace = std::chrono::minutes(15);

class MinuteBilling {
  public:
    // All outlive it. `overdraft`: how far below zero a balance may go.
    MinuteBilling(NanoUsd overdraft, Store& store, LoopMetrics& metrics, Log& log)
        : overdraft_(overdraft), store_(store), metrics_(metrics), log_(log) {}

    // Sets STOPPED in `desired` where it stops an endpoint.
    void run(Desired& desired, const Observed& observed, WallTime now);

  private:
    void book(const Desired& desired, const Observed& observed, WallTime now);
    void check_credit(Endpoint& endpoint, bool has_ready, WallTime now);
    void note_failure(const Error& error);

    const NanoUsd overdraft_;
    Store& store_;
    LoopMetrics& metrics_;
    Log& log_;
    std::int64_t minute_ = 0;
    std::set<ReplicaId> booked_;  // in that minute, by this process
};

}  // namespace turnpike::controlplane
