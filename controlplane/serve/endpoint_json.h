// Together's shapes of endpoints, hardware and replicas, and the bodies of requests for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/api/endpoint.h"

namespace turnpike::controlplane {

struct CreateEndpointBody {
    std::string model;
    std::string hardware;
    Autoscaling autoscaling;
    std::string display_name;
    DesiredState state = DesiredState::kStarted;
    std::int64_t inactive_timeout_minutes = 0;
    bool disable_speculative_decoding = false;
    std::string idempotency_key;
    std::string availability_zone;  // empty: wherever the hardware is
};

// Unset: stays as it is.
struct PatchEndpointBody {
    std::optional<std::string> display_name;
    std::optional<DesiredState> state;
    std::optional<Autoscaling> autoscaling;
    std::optional<std::int64_t> inactive_timeout_minutes;
    std::optional<bool> disable_speculative_decoding;
};

// kInvalidArgument naming the field; unknown fields are ignored.
Result<CreateEndpointBody> parse_create_endpoint(std::string_view text);
Result<PatchEndpointBody> parse_patch_endpoint(std::string_view text);

// `owner` is the organisation's name.
std::string write_endpoint(const Endpoint& endpoint, const std::string& owner);
// A row of the list, without display_name, hardware and autoscaling.
std::string write_listed_endpoint(const Endpoint& endpoint, const std::string& owner);

// `availability` is shown when a model was asked for.
std::string write_hardware(const Hardware& hardware, bool show_availability, WallTime now);
// `pid` 0 is shown as null.
std::string write_replica(const Replica& replica, std::int64_t pid);

}  // namespace turnpike::controlplane
