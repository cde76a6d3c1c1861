// ReconcilePass: one look at everything and what follows from it: minutes are booked, targets set,
// the plan is made and carried out. Of one thread; the loop runs it again and again, and a
// simulation does so with a clock and a driver of its own.
#pragma once

#include <functional>
#include <vector>

#include "controlplane/run/apply.h"
#include "controlplane/run/loop_metrics.h"
#include "controlplane/run/minute_billing.h"
#include "controlplane/run/observe.h"
#include "controlplane/run/retention_job.h"
#include "controlplane/run/scaling.h"

namespace turnpike::controlplane {

struct ReconcileOptions {
    ServedModels models;
    std::vector<HardwareSlots> hardware;
    HealthProbe probe;
    int num_probe_threads = 1;
    ScalePolicies scaling;
    LoadSource loads;   // may be empty
    NanoUsd overdraft;  // how far below zero a balance may go
    RetentionPolicy retention;
};

struct PassOutcome {
    bool is_settling = false;  // look again soon
    // No process runs and no row says so: a control plane that starts later believes them.
    bool nothing_runs = false;
};

class ReconcilePass {
  public:
    // All outlive it.
    ReconcilePass(ReconcileOptions options,
                  Store& store,
                  Driver& driver,
                  LoopMetrics& metrics,
                  const Clock& clock,
                  Log& log);

    // Ends early, between two actions, once `is_stopping`. A failed action is logged; the next pass
    // tries again.
    PassOutcome run(bool is_parked, const std::function<bool()>& is_stopping);

  private:
    const ReconcileOptions options_;
    Store& store_;
    Driver& driver_;
    LoopMetrics& metrics_;
    const Clock& clock_;
    Log& log_;
    Scaling scaling_;
    MinuteBilling billing_;
    RetentionJob retention_;
};

}  // namespace turnpike::controlplane
