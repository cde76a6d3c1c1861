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

// ask_health() of a replica at its address, or a test's own.
using HealthProbe = std::function<EngineAnswer(const ReplicaId& id, const std::string& address)>;

Result<Desired> read_desired(const Store& store,
                             const std::vector<HardwareSlots>& hardware,
                             bool is_parked);
Result<Observed> observe(const Store& store, Driver& driver, const HealthProbe& probe);

}  // namespace turnpike::controlplane
