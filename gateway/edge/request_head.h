// The head of a client's HTTP request, checked strictly: what two servers could read differently is
// refused (RFC 9112, sections 2, 3, 5 and 6.3), since such requests are how smuggling works. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "config/base/result.h"

namespace turnpike::gateway {

// Views point into the head that was parsed.
struct RequestHead {
    std::string_view method;
    std::string_view target;  // as sent
    std::string_view path;    // target up to '?'
    std::string_view authorization;
    std::string_view content_type;
    std::string_view content_encoding;
    std::string_view user_agent;
    std::string_view idempotency_key;
    std::optional<std::size_t> content_length;
    bool is_chunked = false;
    bool is_http10 = false;
    bool keeps_alive = true;
    bool expects_continue = false;
};

// `head`: from the request line to the empty line, which is included. kInvalidArgument for broken
// heads, kHeaderTooLarge for more than limits::kMaxHeaderFields fields.
Result<RequestHead> parse_request_head(std::string_view head);

}  // namespace turnpike::gateway
