// Limit headers: what every answer says about limits, in the words of both families of clients. See
// ops/docs/formats/limits.md.
#pragma once

#include <optional>
#include <string>

#include "gateway/policy/limit_meter.h"

namespace turnpike::gateway {

// OpenAI's form of a duration, rounded up to milliseconds: "12ms", "1.5s", "6m0s".
std::string format_reset(Nanos duration);

// Header lines, each with its CRLF: OpenAI's x-ratelimit-{limit,remaining,reset}-{requests,tokens}
// per minute, Together's x-ratelimit-{limit,remaining,reset} and x-tokenlimit-{limit,remaining} per
// second in integers. Nothing for what is not limited. `retry_after`, for a refusal: also
// retry-after in seconds and retry-after-ms, both rounded up so that who waits is served, and
// x-ratelimit-reset says the same.
std::string limit_lines(const LimitViews& views, std::optional<Nanos> retry_after = {});

// "the organisation's limit of 60 requests per minute is reached: try again in 1.5s".
std::string refusal_text(const LimitRefusal& refusal);

}  // namespace turnpike::gateway
