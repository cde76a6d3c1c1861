// EdgeMetrics: what a gateway counts of its requests, for Prometheus. Label sets are closed: routes
// and statuses that are known here; never a name that a client chose. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "config/base/build_info.h"
#include "config/base/clock.h"
#include "config/base/metrics.h"
#include "gateway/edge/request_log.h"
#include "gateway/edge/routes.h"

namespace turnpike::gateway {

struct EdgeMetrics {
    static constexpr std::size_t kNumStatuses = 18;
    static constexpr std::size_t kNumOutcomes = 5;

    EdgeMetrics();

    // A request that was answered, or whose client left.
    void note(const RequestLog& log, SteadyTime now);

    // By route, the last for paths that are none; by status, the last for others.
    std::array<std::array<Counter, kNumStatuses>, kNumRoutes + 1> requests;
    std::array<Counter, kNumOutcomes> outcomes;  // of dispatched requests
    Counter prompt_tokens;                       // as far as the gateway saw them counted
    Counter cached_tokens;
    Counter completion_tokens;
    Counter connections;  // open ones
    Counter orphans;      // requests that an earlier run left open
    Histogram first_output_s;
    Histogram duration_s;
};

// What stands at the moment.
struct EdgeState {
    BuildInfo build;
    std::int64_t num_slots = 0;        // requests that count for limits of concurrency
    std::int64_t num_holds = 0;        // requests that hold credit
    std::int64_t num_open = 0;         // requests in the outbox without an end
    std::int64_t num_unresolved = 0;   // whose counts an engine is being asked for
    std::int64_t num_undelivered = 0;  // records that the control plane has not got
    std::int64_t share_ppm = 0;        // of every rate limit
    double snapshot_age_s = 0.0;       // since the control plane last confirmed it
    // Until the certificate ends, negative once it has; of the file, which a restart would load.
    std::optional<double> certificate_left_s;
    std::optional<std::int64_t> outbox_free_bytes;  // of the file system that the outbox is on
};

std::string write_metrics(const EdgeMetrics& metrics, const EdgeState& state);

}  // namespace turnpike::gateway
