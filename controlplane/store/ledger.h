// What the ledger says: double entry, append-only, each transaction sums to zero. Accounts:
// external (what came in from outside), one prepaid account per organisation, revenue, and
// adjustments. Written by credit.h and by the poster; see ops/docs/formats/ledger.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

class Store;

struct BillingRow {
    OrgId org;
    std::string name;
    NanoUsd credited_nano_usd;      // paid in, paid back, adjusted and reversed
    NanoUsd charged_nano_usd;       // for requests
    NanoUsd minutes_nano_usd;       // for minutes of dedicated replicas
    NanoUsd balance_nano_usd;       // the cached one
    std::int64_t num_requests = 0;  // billed ones
    TokenUsage billed;
    std::int64_t num_written_off = 0;
    TokenUsage written_off;
};

struct BillingStatement {
    std::vector<BillingRow> rows;  // by name
    NanoUsd usage_cost_nano_usd;   // of every usage file's billed events
    NanoUsd ledger_sum_nano_usd;   // of all entries: zero
    std::int64_t num_unposted = 0;
    // Cached balances are the sums of their entries, everything sums to zero, balance = credited -
    // charged - minutes, charged = usage cost but for what is not posted yet, and minutes = those
    // that were booked.
    bool agrees = false;
};

// `org` set: only its row; the totals are always over everything.
Result<BillingStatement> billing_statement(const Store& store, const std::optional<OrgId>& org);

}  // namespace turnpike::controlplane
