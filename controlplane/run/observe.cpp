#include "controlplane/run/observe.h"

#include <utility>

#include "controlplane/store/endpoints.h"
#include "controlplane/store/replicas.h"

namespace turnpike::controlplane {

Result<Desired> read_desired(const Store& store,
                             const std::vector<HardwareSlots>& hardware,
                             bool is_parked) {
    Result<std::vector<Endpoint>> endpoints = list_wanted_endpoints(store);
    if (!endpoints) return endpoints.error();
    return Desired{*std::move(endpoints), hardware, is_parked};
}

Result<Observed> observe(const Store& store, Driver& driver, const HealthProbe& probe) {
    // Processes first: a row is written before its process exists, so none looks unknown.
    Result<std::vector<ObservedProcess>> processes = driver.list();
    if (!processes) return processes.error();
    Result<std::vector<Replica>> replicas = list_replicas(store, std::nullopt);
    if (!replicas) return replicas.error();
    for (ObservedProcess& process : *processes) {
        if (!process.is_running) continue;
        const Result<std::string> address = driver.address_of(process.id);
        if (!address) return address.error();
        EngineAnswer answer = probe(process.id, *address);
        process.answer = answer.answer;
        process.answer_reason = std::move(answer.reason);
        process.kv_usage = answer.kv_usage;
    }
    return Observed{*std::move(replicas), *std::move(processes)};
}

}  // namespace turnpike::controlplane
