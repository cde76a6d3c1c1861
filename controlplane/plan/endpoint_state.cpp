// The states of an endpoint and the edges between them: ops/docs/formats/endpoints.md.
#include "controlplane/plan/reconcile.h"

namespace turnpike::controlplane {

bool is_edge(EndpointState from, EndpointState to) {
    using S = EndpointState;
    switch (from) {
        case S::kPending:
            return to == S::kStarting || to == S::kStopping || to == S::kStopped;
        case S::kStarting:
            return to == S::kPending || to == S::kStarted || to == S::kStopping || to == S::kError;
        case S::kStarted:
            return to == S::kStarting || to == S::kStopping;
        case S::kStopping:
            return to == S::kStopped || to == S::kPending || to == S::kStarting;
        case S::kStopped:
            return to == S::kPending || to == S::kStarting || to == S::kStopping;
        case S::kError:
            return to == S::kPending || to == S::kStarting || to == S::kStopping;
    }
    return false;
}

EndpointState step_towards(EndpointState from, EndpointState to) {
    if (from == to || is_edge(from, to)) return to;
    // Every pair without an edge has one by way of STARTING or STOPPING.
    return to == EndpointState::kStopped ? EndpointState::kStopping : EndpointState::kStarting;
}

}  // namespace turnpike::controlplane
