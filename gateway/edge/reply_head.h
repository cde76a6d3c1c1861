// The head of an engine's HTTP reply. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "config/base/result.h"

namespace turnpike::gateway {

struct ReplyHead {
    int status = 0;
    std::optional<std::size_t> content_length;
    bool is_chunked = false;
    bool is_event_stream = false;
    bool keeps_alive = true;
};

// `head`: from the status line to the empty line, which is included. kCorrupt when it is no
// HTTP/1.1 or its framing is contradictory.
Result<ReplyHead> parse_reply_head(std::string_view head);

}  // namespace turnpike::gateway
