// What there is: rows of the store, processes of the driver, and what each engine answers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/base/result.h"
#include "controlplane/plan/reconcile.h"
#include "controlplane/run/driver.h"
#include "controlplane/run/engine_client.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// Called by several threads at once. ask_health() of a replica at its address, or a test's own.
using HealthProbe = std::function<EngineAnswer(const ReplicaId& id, const std::string& address)>;

Result<Desired> read_desired(const Store& store,
                             const std::vector<HardwareSlots>& hardware,
                             bool is_parked);
// Asks `num_threads` engines at a time, so that one that hangs does not hold up the rest.
Result<Observed> observe(const Store& store,
                         Driver& driver,
                         const HealthProbe& probe,
                         int num_threads);

}  // namespace turnpike::controlplane
