// RequestRecord: what one request of a load test came to. Times are seconds since the run's start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/money.h"

namespace turnpike::gateway::client::bench {

enum class Outcome {
    kCompleted,
    kDisconnected,  // this side left, as planned
    kFailed,
    kAbandoned,  // in progress when the run was interrupted
};

enum class FailureKind {
    kNone,
    kConnect,    // no connection, or no TLS session
    kStatus,     // an HTTP status other than 2xx
    kInStream,   // an error inside a stream that had begun with 200
    kCutOff,     // the connection or the stream ended before the answer did
    kTimeout,    // silence for longer than allowed
    kMalformed,  // no HTTP, or no JSON
};

// "status_429", "connect", "in_stream", ...
std::string failure_name(FailureKind kind, int status);

// How far a request had come, as this side sees it.
enum class Phase {
    kConnecting,  // TCP and TLS
    kSending,
    kWaiting,  // sent, and no text has come: queued, or its prompt is being read
    kThinking,
    kAnswering,
};

inline constexpr std::size_t kNumPhases = 5;

// "connecting", ...
std::string phase_name(Phase phase);

struct RequestRecord {
    std::int64_t index = 0;
    std::string request_id;  // as the server named it; empty when it did not get that far
    double start_s = 0;      // the connection is taken, or begun
    std::optional<double> first_token_s;  // streams only
    double end_s = 0;                     // streams: the last event of a choice
    std::vector<double> gaps_s;           // between events with text: one less than those
    std::int64_t num_text_events = 0;
    std::int64_t num_intended_input_tokens = 0;
    std::optional<TokenUsage> usage;  // as the server told it
    std::string finish_reason;
    Outcome outcome = Outcome::kAbandoned;
    FailureKind failure = FailureKind::kNone;
    int status = 0;                    // HTTP, 0 = none came
    std::string message;               // of a failure
    bool has_bytes = false;            // of the reply
    Phase phase = Phase::kConnecting;  // how far it came

    bool is_stream() const { return first_token_s.has_value(); }

    std::int64_t num_input_tokens() const {
        return usage ? usage->prompt_tokens : num_intended_input_tokens;
    }

    // Of a server that tells no usage, each event with text counts as one token.
    std::int64_t num_output_tokens() const {
        return usage ? usage->completion_tokens : num_text_events;
    }
};

}  // namespace turnpike::gateway::client::bench
