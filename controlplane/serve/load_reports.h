// LoadReports: the last load that each gateway reported per endpoint. Kept in memory only: it is
// stale within seconds, and the autoscaler needs no history of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/result.h"
#include "controlplane/run/scaling.h"

namespace turnpike::controlplane {

// A report that is older tells nothing of now; gateways report every second.
inline constexpr auto kFreshLoad = std::chrono::seconds(5);

class LoadReports {
  public:
    // Replaces the gateway's last report. `json` as in ops/docs/formats/load.md; kInvalidArgument
    // otherwise. True when requests wait for a replica. Thread-safe.
    Result<bool> accept(std::string_view json, WallTime now);
    // Summed over gateways that reported at or after `since`; the longest wait, and the last
    // request since then. Empty when none did.
    std::optional<std::vector<EndpointLoad>> loads(WallTime since) const;

    struct Freshness {
        std::int64_t num_gateways = 0;      // that reported at or after `since`
        std::optional<WallTime> oldest_at;  // of the last reports of all that are not forgotten
    };

    Freshness freshness(WallTime since) const;

  private:
    struct Report {
        WallTime received_at;
        std::vector<EndpointLoad> loads;
    };

    mutable std::mutex mutex_;
    std::map<std::string, Report> by_gateway_;
    std::map<EndpointId, WallTime> last_requests_;  // a later report does not hide them
};

}  // namespace turnpike::controlplane
