// Retention: what is deleted when it is old, by the settings. Money is not among it: the ledger,
// its chain, prices and sums of usage stay. See ops/docs/formats/settings.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

class Store;

struct RetentionPolicy {
    int usage_months = 0;              // before the present one whose requests are kept; 0 = all
    int audit_days = 0;                // 0 = all
    int finished_operations_days = 0;  // 0 = all
};

struct Retained {
    std::vector<std::string> deleted_months;
    std::vector<std::string> months_left;  // old enough, and not posted or being read
    std::int64_t num_audit_rows = 0;       // deleted ones
    std::int64_t num_operations = 0;
    std::int64_t num_steps = 0;
};

// Deletes what is too old now. What fails is not undone before it, and is tried again next time.
Result<Retained> apply_retention(Store& store, const RetentionPolicy& policy, WallTime now);

}  // namespace turnpike::controlplane
