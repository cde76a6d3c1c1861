// MeteredReply: takes an engine's metered reply apart, chunk by chunk, without parsing JSON: meter
// lines are remembered and dropped, events and other comments go on to the client as they are, and
// the single event of a unary reply is unwrapped. Follows ops/docs/formats/engine-protocol.md.
// Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/money.h"

namespace turnpike::gateway {

// Whether an event's JSON is an error: its first member, or the first after "id", is "error".
bool is_error_event(std::string_view json);

class MeteredReply {
  public:
    enum class Mode {
        kStream,     // chunks to the client, with their framing
        kRawStream,  // the same without framing, for HTTP/1.0
        kUnary,      // one JSON text
    };

    // With a price the usage in the reply gets its `cost`, by the meter line ahead of it: only
    // those who asked for it pay for looking at events.
    explicit MeteredReply(Mode mode, std::optional<Price> price = std::nullopt)
        : mode_(mode), price_(price) {}

    // Takes every whole chunk at the start of `input` and returns how many bytes they are. What a
    // stream's client is to get is appended to `out`, without the last chunk.
    std::size_t feed(std::string_view input, std::string& out);

    // The size in bytes that `input` must grow by before feed() can go on; at least 1.
    std::size_t missing_bytes() const { return missing_bytes_; }

    const std::optional<TokenUsage>& meter() const { return meter_; }

    // Stream: [DONE] came. Unary: the whole answer came.
    bool is_complete() const { return is_complete_; }

    bool has_ended() const { return has_ended_; }

    bool is_broken() const { return is_broken_; }

    bool has_error() const { return has_error_; }

    // The error came ahead of every other event.
    bool is_error_alone() const { return has_error_ && !has_event_; }

    // Some event or comment came that the client may see.
    bool has_output() const { return has_output_; }

    // Where [DONE] begins in the `out` of the feed() that made is_complete() true.
    std::size_t done_offset() const { return done_offset_; }

    // The unary answer, or the error event's JSON in its place.
    std::string& body() { return body_; }

  private:
    void take(std::string_view payload, std::string_view framed, std::string& out);
    void take_unary(std::string_view payload);
    void take_stream(std::string_view payload, std::string_view framed, std::string& out);

    // `text` with the cost in its usage object; as it is when there is none.
    std::string with_cost(std::string_view text) const;

    Mode mode_;
    std::optional<Price> price_;
    std::optional<TokenUsage> meter_;
    std::string body_;
    std::size_t missing_bytes_ = 1;
    std::size_t done_offset_ = 0;
    bool is_complete_ = false;
    bool has_ended_ = false;
    bool is_broken_ = false;
    bool has_error_ = false;
    bool has_event_ = false;  // other than an error
    bool has_output_ = false;
};

}  // namespace turnpike::gateway
