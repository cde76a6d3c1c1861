// Quarantine: usage records that cannot be priced or placed (no such price version, organisation or
// month). They are acknowledged, so that they hold up no outbox, and kept until an operator
// releases them; until then the books do not reconcile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/api/usage_record.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

class Store;

struct QuarantinedRecord {
    UsageRecord record;
    std::string outbox;
    std::string reason;
    WallTime received_at = {};
};

// Those that are not released, in order of arrival.
Result<std::vector<QuarantinedRecord>> list_quarantine(const Store& store, std::int64_t limit);
Result<std::int64_t> count_quarantine(const Store& store);

// Delivers the record again, with another price version when one is given. kConflict with the
// reason when it still cannot be priced; kNotFound when it is not in quarantine. Audited.
Status release_from_quarantine(Store& store,
                               const RequestId& id,
                               const std::optional<std::int64_t>& price_version,
                               WallTime now);

// Inside a transaction of control.db; records that are there already are left as they are.
Status write_quarantine(Database& control,
                        const std::vector<QuarantinedRecord>& records,
                        WallTime now);
Result<std::vector<QuarantinedRecord>> read_quarantine(Database& control, std::int64_t limit);

}  // namespace turnpike::controlplane
