// Months whose usage file retention has deleted: their sums stay in control.db, so that balances,
// bills and reconciliation still add up. The files are deleted by the writer of usage; see
// usage_writer.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

class Store;

// What one organisation's requests at one replica came to in a month.
struct RetiredUsage {
    std::string month;  // "2026-11"
    OrgId org;
    ReplicaId replica;
    bool is_billed = false;
    std::int64_t num_events = 0;
    std::int64_t num_with_cost = 0;  // each has a transaction in the ledger
    TokenUsage usage;
    NanoUsd cost_nano_usd;
    NanoUsd written_off_nano_usd;
};

// Writes the sums of the file, and the audit's row, in the caller's transaction of control.db.
// False, and nothing is written, while some of it is not posted.
Result<bool> retire_month(Database& control,
                          Database& month_file,
                          const std::string& month,
                          WallTime now);

// By month.
Result<std::vector<std::string>> read_retired_months(Database& control);
Result<std::vector<RetiredUsage>> read_retired_usage(Database& control);

// kNotFound says that the month's events were deleted, and what is left.
Status check_not_retired(const Store& store, const std::string& month);

// What the ledger has of a month's requests, by their ids.
struct LedgerMonth {
    std::int64_t num_transactions = 0;
    NanoUsd cost_nano_usd;
};

Result<LedgerMonth> read_ledger_month(Database& control, const std::string& month);

}  // namespace turnpike::controlplane
