// What an engine says of itself, asked over its socket.
#pragma once

#include <string>

#include "controlplane/plan/reconcile.h"
#include "controlplane/run/engine_access.h"

namespace turnpike::controlplane {

struct EngineAnswer {
    Answer answer = Answer::kNone;
    std::string reason;     // of kFailed
    double kv_usage = 0.0;  // of kReady, 0 to 1
};

// An engine that cannot be reached, that is another replica's, or that answers something else gives
// kNone: a replica that does not speak the protocol serves nobody.
EngineAnswer ask_health(const std::string& address,
                        const ReplicaId& replica,
                        const EngineAccess& access);

}  // namespace turnpike::controlplane
