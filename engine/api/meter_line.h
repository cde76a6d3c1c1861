// Meter lines: SSE comments by which the engine tells the gateway how many tokens a request has
// used.
// ": meter <prompt> <cached> <completion> <reasoning>\n\n", an HTTP chunk of its own, counts
// cumulative. The first comes right after tokenising, before prefill; one stands ahead of every
// event; the last one is the bill.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/base/money.h"

namespace turnpike::engine {

std::string format_meter_line(const TokenUsage& usage);

// Reads a whole chunk; empty when it is no meter line or breaks the format (negative, cached >
// prompt).
std::optional<TokenUsage> parse_meter_line(std::string_view chunk);

// Request headers of the engine protocol (lower case).
inline constexpr std::string_view kRequestIdHeader = "x-request-id";
inline constexpr std::string_view kMeterHeader = "x-turnpike-meter";
inline constexpr std::string_view kCacheSaltHeader = "x-turnpike-cache-salt";
inline constexpr std::string_view kPriorityHeader = "x-turnpike-priority";
inline constexpr std::string_view kDeadlineHeader = "x-turnpike-deadline-ms";
inline constexpr std::string_view kEpochHeader = "x-turnpike-epoch";
// The id of the replica that the sender means. A TCP port may be another's since.
inline constexpr std::string_view kReplicaHeader = "x-turnpike-replica";

// The subjectAltName of every engine's certificate. Certificates are per host or per cluster: which
// replica answers is told by epoch and replica header.
inline constexpr std::string_view kEngineServerName = "turnpike-engine";

}  // namespace turnpike::engine
