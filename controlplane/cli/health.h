// `turnpike health`: what is wanted, beside what serves.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

struct PartHealth {
    std::string name;    // "control plane", "gateway", or an endpoint's name
    std::string state;   // of an endpoint, as the admin API tells it; else "ready" or what is not
    std::string detail;  // replicas, or why not
    bool is_ready = false;  // what nobody wants is as it should be
};

// The control plane, the gateway at `base_url` (none when it is empty), and every endpoint when the
// control plane tells of them.
std::vector<PartHealth> ask_everybody(AdminClient& admin, const std::string& base_url);

// An endpoint's own JSON (with its reason) and that of its replicas.
PartHealth assess_endpoint(const nlohmann::json& endpoint, const nlohmann::json& replicas);

// {"ready":…,"parts":[{"name","state","detail","ready"}]}
nlohmann::json to_json(const std::vector<PartHealth>& parts);

// Prints every part once all are ready, or after `patience`. kOk, kFailed when a part is not ready
// (stderr names it), kUnreachable when the control plane is what does not answer.
int show_health(AdminClient& admin, std::chrono::seconds patience, Output output);

}  // namespace turnpike::controlplane::cli
