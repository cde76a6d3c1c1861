// Writing ledger transactions inside a transaction of control.db; for the poster and for credit.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

struct LedgerEntry {
    std::int64_t account = 0;
    NanoUsd amount;
};

// Cached balances move once per call of apply_deltas, not once per entry.
using BalanceDeltas = std::map<std::int64_t, NanoUsd>;

// CHECKs that the entries sum to zero; links the transaction to the chain. False, and nothing is
// written, when `ref` exists.
Result<bool> write_transaction(Database& database,
                               const std::string& ref,
                               const std::string& note,
                               const std::vector<LedgerEntry>& entries,
                               WallTime now,
                               BalanceDeltas& deltas);
Status apply_deltas(Database& database, const BalanceDeltas& deltas);

// kNotFound when the organisation has none.
Result<std::int64_t> prepaid_account(Database& database, const OrgId& org);
Result<std::int64_t> platform_account(Database& database, std::string_view kind);
Result<NanoUsd> read_balance(Database& database, std::int64_t account);

}  // namespace turnpike::controlplane
