// Autoscaling: how many replicas an endpoint should have, from what gateways and engines report.
// Pure: the answer follows from the reports alone. Two windows and a panic after Knative's
// autoscaler, a slow way down after Ray Serve's. Requests last minutes here, so what counts is how
// many are in hand, not how many come. Units and signals: ops/docs/formats/endpoints.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>

#include "config/base/clock.h"
#include "controlplane/api/endpoint.h"

namespace turnpike::controlplane {

struct ScalePolicy {
    double target_in_flight = 8.0;              // requests for each replica
    double max_kv_usage = 0.85;                 // of the key-value cache, mean over the replicas
    std::chrono::milliseconds max_wait{2'000};  // of the oldest request without a replica
    std::chrono::seconds stable_window{60};     // whose mean counts
    std::chrono::seconds panic_window{6};
    // Where the panic window wants so many times what is READY, its number counts at once, and
    // nothing is taken away for a stable window.
    double panic_ratio = 2.0;
    // No fewer replicas than were wanted at any time within it.
    std::chrono::seconds down_window{600};
    // From one replica to none where min_replicas is 0: after so long without a request.
    std::chrono::seconds idle_window{600};
};

// What one pass found of an endpoint.
struct LoadSample {
    WallTime at;                // ascending
    double num_requests = 0.0;  // in flight and waiting, at all gateways: a mean
    std::chrono::milliseconds wait{0};
    double kv_usage = 0.0;
    int num_ready = 0;
    WallTime last_request{};  // also one that came and went between two samples
};

struct ScaleDecision {
    int num_replicas = 0;
    std::string reason;  // what asked for it
};

// One endpoint's history. Not thread-safe.
class Autoscaler {
  public:
    // `num_replicas`: what the endpoint has at present, which stays for a down window.
    // `last_request`: as far as it is known.
    Autoscaler(int num_replicas, WallTime last_request, WallTime now);

    // The number after this sample, within the bounds.
    ScaleDecision decide(const ScalePolicy& policy,
                         const Autoscaling& bounds,
                         const LoadSample& sample);

    // When a request was last in hand, as far as it is known.
    WallTime last_request() const { return last_request_; }

  private:
    struct Want {
        WallTime at;
        int num_replicas;
    };

    double mean_since(WallTime begin) const;
    ScaleDecision want(const ScalePolicy& policy, const LoadSample& sample);
    int most_wanted(const ScalePolicy& policy, WallTime now, int wanted);

    std::deque<LoadSample> samples_;  // of the stable window, and the one before
    std::deque<Want> wants_;          // of the down window: each larger than those behind it
    WallTime last_request_;
    bool has_begun_;  // it has replicas, or had a request
    WallTime panic_end_;
    int panic_replicas_ = 0;
};

}  // namespace turnpike::controlplane
