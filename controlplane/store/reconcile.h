// Reconciliation: whether usage events, quarantine and ledger say the same, row by row, and what
// the engines should therefore have counted. See ops/docs/formats/ledger.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// What one replica's requests used by our books.
struct ReplicaUsage {
    TokenUsage billed;
    TokenUsage written_off;
    TokenUsage quarantined;  // neither yet

    TokenUsage sum() const;
};

struct Misfit {
    std::string check;  // "chain", "ledger", "event", "entry", "minutes", "quarantine", "engine"
    std::string what;   // the first row of it that does not fit, and why
};

struct Reconciliation {
    std::int64_t num_events = 0;
    std::int64_t num_billed = 0;
    std::int64_t num_written_off = 0;
    std::int64_t num_quarantined = 0;
    std::int64_t num_unposted = 0;      // events that are still on their way into the ledger
    std::int64_t num_transactions = 0;  // of usage, in the ledger
    NanoUsd usage_cost_nano_usd;        // of posted events
    NanoUsd charged_nano_usd;           // in the ledger
    std::int64_t num_links = 0;
    std::string chain_head;
    std::map<ReplicaId, ReplicaUsage> by_replica;
    std::vector<Misfit> misfits;  // at most one per check, in the order of the checks
};

// What is reconciled: a view of control.db, and the usage files beside it.
struct OpenBooks {
    Database& control;
    std::string founded_as;  // of its identity
    std::function<Status(const MonthVisitor&)> read_months;
};

Result<Reconciliation> reconcile_books(const OpenBooks& books);

// One view of control.db for all of it, and every event once. Blocks for as long as that takes.
Result<Reconciliation> reconcile_books(const Store& store);

}  // namespace turnpike::controlplane
