// GET /admin/v1/reconcile: engine totals = usage events = ledger, or the first row that does not
// fit; see ops/docs/formats/ledger.md.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/run/engine_meter.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/reconcile.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// `store` outlives the router. Asks every replica's engine, so it takes a while; `engine_tls` is
// for those with tls: addresses.
void add_reconcile_routes(Router& router,
                          const Store& store,
                          const std::optional<net::TlsFiles>& engine_tls);

// One engine beside our books.
struct EngineComparison {
    ReplicaId replica;
    engine::MeterTotals engine;
    ReplicaUsage books;
    bool is_busy = false;  // fewer in the books, and requests are open
    std::optional<std::string> fault;
};

// The books were read before the engine was asked, so the engine never has less. Pure.
EngineComparison compare(const ReplicaId& replica,
                         const engine::MeterTotals& engine,
                         const ReplicaUsage& books);

}  // namespace turnpike::controlplane
