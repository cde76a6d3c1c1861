// The poster: from usage events beyond a month's watermark to ledger entries and rollups. Events,
// entries, rollups and watermark of one call are one transaction of control.db, so a crash at any
// moment posts each event exactly once.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

inline constexpr std::int64_t kMaxEventsPerPosting = 2048;

// Inside a transaction of `control`. The result: how many events were posted, at most
// kMaxEventsPerPosting.
Result<std::int64_t> post_events(Database& control,
                                 Database& month_file,
                                 const std::string& month,
                                 WallTime now);

// The last posted sequence of a month; 0 before the first.
Result<std::int64_t> read_watermark(Database& control, const std::string& month);

}  // namespace turnpike::controlplane
