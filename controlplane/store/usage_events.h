// Rows of a month's usage file.
#pragma once

#include <string>
#include <vector>

#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/store/sqlite.h"
#include "controlplane/store/usage.h"

namespace turnpike::controlplane {

// "2026-11" of a request id's time; kInvalidArgument when it is no ULID.
Result<std::string> month_of(const RequestId& id);
// "2026-11-23".
Result<std::string> day_of(const RequestId& id);

// False when the request id is there already.
Result<bool> insert_event(Database& month_file, const UsageRow& row);

// In order of arrival, at most `limit`; the last one's sequence goes to `last_sequence`.
Result<std::vector<UsageRow>> read_events_after(Database& month_file,
                                                std::int64_t sequence,
                                                std::int64_t limit,
                                                std::int64_t& last_sequence);
Result<std::vector<UsageRow>> read_org_events_after(Database& month_file,
                                                    const OrgId& org,
                                                    std::int64_t sequence,
                                                    std::int64_t limit,
                                                    std::int64_t& last_sequence);
// Empty when this organisation has no such request.
Result<std::optional<UsageRow>> read_event(Database& month_file,
                                           const OrgId& org,
                                           const RequestId& id);
// Latest arrival first.
Result<std::vector<UsageRow>> read_latest_events(Database& month_file,
                                                 const std::optional<OrgId>& org,
                                                 std::int64_t limit);
Result<std::int64_t> read_last_sequence(Database& month_file);
// Billed cost of the events up to `sequence`.
Result<NanoUsd> read_cost_until(Database& month_file, std::int64_t sequence);
// Adds to `totals`.
Status add_totals(Database& month_file, const std::optional<OrgId>& org, UsageTotals& totals);

}  // namespace turnpike::controlplane
