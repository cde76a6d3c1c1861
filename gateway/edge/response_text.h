// The text of the gateway's own HTTP responses. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.h"

namespace turnpike::gateway {

inline constexpr std::string_view kEventStream = "text/event-stream; charset=utf-8";

struct ResponseHead {
    int status = 200;
    std::string_view content_type = "application/json";
    std::optional<std::size_t> content_length;  // empty: a stream
    std::string_view extra_lines;               // each with its CRLF
    std::string_view request_id;
    std::string_view date;
    bool keeps_alive = true;
    bool is_http10 = false;
};

// Appends the head with its empty line. A stream is chunked, and not to be buffered or cached;
// under HTTP/1.0 it ends with the connection.
void append_head(std::string& out, const ResponseHead& head);

// One chunk of a chunked body.
void append_chunk(std::string& out, std::string_view payload);

inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// RFC 9110, section 5.6.7: "Mon, 23 Nov 2026 21:05:23 GMT".
std::string format_http_date(WallTime time);

}  // namespace turnpike::gateway
