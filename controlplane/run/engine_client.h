// What an engine says of itself, asked over its socket.
#pragma once

#include <chrono>
#include <string>

#include "controlplane/plan/reconcile.h"

namespace turnpike::controlplane {

struct EngineAnswer {
    Answer answer = Answer::kNone;
    std::string reason;     // of kFailed
    double kv_usage = 0.0;  // of kReady, 0 to 1
};

// Blocks for at most `timeout` to connect and as long to be answered. An engine that cannot be
// reached, or that answers something else, gives kNone: a replica that does not speak the protocol
// serves nobody.
EngineAnswer ask_health(const std::string& address, std::chrono::milliseconds timeout);

}  // namespace turnpike::controlplane
