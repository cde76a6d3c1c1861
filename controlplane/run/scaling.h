// Scaling: the autoscalers of all endpoints, fed once a pass. What they want is written to the
// store before anything is started or drained for it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/base/log.h"
#include "controlplane/plan/autoscale.h"
#include "controlplane/plan/reconcile.h"
#include "controlplane/run/loop_metrics.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// What all gateways have in hand of one endpoint.
struct EndpointLoad {
    EndpointId endpoint;
    double num_in_flight = 0.0;  // the mean over the last report's second
    std::int64_t num_queued = 0;
    std::int64_t wait_ms = 0;    // of the oldest queued request
    WallTime last_request_at{};  // as far as it is known
};

// Empty when no gateway has reported lately: nothing is known then, which is not no load.
using LoadSource = std::function<std::optional<std::vector<EndpointLoad>>(WallTime now)>;

struct ScalePolicies {
    ScalePolicy standard;
    std::map<std::string, double> target_in_flight;  // of models that have their own
};

class Scaling {
  public:
    // All outlive it. Without a source every endpoint keeps what it has.
    Scaling(ScalePolicies policies, LoadSource loads, Store& store, LoopMetrics& metrics, Log& log);

    // Sets target_replicas of `desired`, and STOPPED where an endpoint was idle for its time.
    void run(Desired& desired, const Observed& observed, WallTime now);

  private:
    struct Serving {
        int num_ready = 0;
        double kv_usage = 0.0;  // sum
    };

    ScalePolicy policy_of(const Endpoint& endpoint) const;
    void scale(Endpoint& endpoint, const Serving& serving, const EndpointLoad& load, WallTime now);
    void note_activity_of(Endpoint& endpoint, WallTime last_request);
    bool stop_when_idle(Endpoint& endpoint, WallTime now);

    const ScalePolicies policies_;
    const LoadSource loads_;
    Store& store_;
    LoopMetrics& metrics_;
    Log& log_;
    std::map<EndpointId, Autoscaler> scalers_;
};

}  // namespace turnpike::controlplane
