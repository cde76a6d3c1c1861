#include "controlplane/run/observe.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "controlplane/store/endpoints.h"
#include "controlplane/store/replicas.h"

namespace turnpike::controlplane {

namespace {

void ask(ObservedProcess& process, const HealthProbe& probe) {
    EngineAnswer answer = probe(process.id, process.address);
    process.answer = answer.answer;
    process.answer_reason = std::move(answer.reason);
    process.kv_usage = answer.kv_usage;
}

void ask_all(const std::vector<ObservedProcess*>& processes,
             const HealthProbe& probe,
             int num_threads) {
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
        for (std::size_t i = next++; i < processes.size(); i = next++) ask(*processes[i], probe);
    };
    // This thread is one of them, and the only one for what is quickly asked.
    std::vector<std::thread> threads;
    const auto num_more = std::min(processes.size(), static_cast<std::size_t>(num_threads)) - 1;
    for (std::size_t i = 0; !processes.empty() && i < num_more; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
}

}  // namespace

Result<Desired> read_desired(const Store& store,
                             const std::vector<HardwareSlots>& hardware,
                             bool is_parked) {
    Result<std::vector<Endpoint>> endpoints = list_wanted_endpoints(store);
    if (!endpoints) return endpoints.error();
    return Desired{*std::move(endpoints), hardware, is_parked};
}

Result<Observed> observe(const Store& store,
                         Driver& driver,
                         const HealthProbe& probe,
                         int num_threads) {
    // Processes first: a row is written before its process exists, so none looks unknown.
    Result<std::vector<ObservedProcess>> processes = driver.list();
    if (!processes) return processes.error();
    Result<std::vector<Replica>> replicas = list_replicas(store, std::nullopt);
    if (!replicas) return replicas.error();
    std::vector<ObservedProcess*> asked;
    for (ObservedProcess& process : *processes) {
        if (!process.is_running) continue;
        if (process.address.empty()) {
            Result<std::string> address = driver.address_of(process.id);
            if (!address) return address.error();
            process.address = *std::move(address);
        }
        if (!process.address.empty()) asked.push_back(&process);
    }
    ask_all(asked, probe, num_threads);
    return Observed{*std::move(replicas), *std::move(processes)};
}

}  // namespace turnpike::controlplane
