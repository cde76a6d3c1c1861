// Waiting for an endpoint, with a progress line: rewritten in place on a terminal, a line for each
// change elsewhere.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "config/base/result.h"
#include "controlplane/cli/admin_client.h"

namespace turnpike::controlplane::cli {

// "STARTING, 12 s: 1 LOADING, 2 READY, 1 FAILED (exit status 1)": an endpoint and its replicas, as
// the control plane's routes show them. Stopped replicas are left out.
std::string progress_text(const nlohmann::json& endpoint,
                          const nlohmann::json& replicas,
                          std::chrono::seconds elapsed);

// Whether no replica of an earlier rollout is left and as many as always run of this one are READY.
bool is_rolled_out(const nlohmann::json& endpoint, const nlohmann::json& replicas);

// What is waited for. It ends with an error when the endpoint is in ERROR (kInternal, with its
// reason), and after half an hour (kTimeout): a large model loads for minutes.
enum class WaitFor { kStarted, kStopped, kRolledOut };

// The endpoint as it was found then.
Result<nlohmann::json> wait_for(AdminClient& admin, const std::string& id, WaitFor wanted);

}  // namespace turnpike::controlplane::cli
