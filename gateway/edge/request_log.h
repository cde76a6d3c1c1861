// RequestLog: what the access log says of one request: one line, no secret and no prompt.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/money.h"
#include "controlplane/api/usage_record.h"

namespace turnpike::gateway {

struct RequestLog {
    std::string request_id;
    std::string_view route = "unknown";
    int status = 0;
    std::string org;
    std::string key;
    std::string model;
    std::string replica;
    std::optional<controlplane::Outcome> outcome;  // of a dispatched request
    TokenUsage usage;
    SteadyTime began;
    std::optional<SteadyTime> first_output;

    void write(Log& log, SteadyTime now) const;
};

}  // namespace turnpike::gateway
