#include "gateway/edge/reply_head.h"

#include <charconv>

#include "gateway/edge/header_scan.h"

namespace turnpike::gateway {
namespace {

constexpr std::string_view kVersion = "HTTP/1.1 ";

Error corrupt(const char* what) {
    return Error{ErrorCode::kCorrupt, std::string("the engine's reply has ") + what, {}};
}

void take_field(const HeaderField& field, ReplyHead& head, bool& is_valid) {
    if (equals_ignoring_case(field.name, "content-length")) {
        const auto length = parse_length(field.value);
        is_valid = is_valid && length && !head.content_length;
        head.content_length = length;
    } else if (equals_ignoring_case(field.name, "transfer-encoding")) {
        is_valid = is_valid && equals_ignoring_case(field.value, "chunked") && !head.is_chunked;
        head.is_chunked = true;
    } else if (equals_ignoring_case(field.name, "content-type")) {
        const std::string_view type = field.value.substr(0, field.value.find(';'));
        head.is_event_stream = equals_ignoring_case(type, "text/event-stream");
    } else if (equals_ignoring_case(field.name, "connection")) {
        if (has_token(field.value, "close")) head.keeps_alive = false;
    }
}

}  // namespace

Result<ReplyHead> parse_reply_head(std::string_view head) {
    const auto status_line = take_line(head);
    if (!status_line || !status_line->starts_with(kVersion))
        return corrupt("no HTTP/1.1 status line");
    ReplyHead reply;
    const std::string_view rest = status_line->substr(kVersion.size());
    const char* end = rest.data() + std::min<std::size_t>(rest.size(), 3);
    const auto [stop, problem] = std::from_chars(rest.data(), end, reply.status);
    const bool has_status = problem == std::errc() && stop == rest.data() + 3 &&
                            (rest.size() == 3 || rest[3] == ' ') && reply.status >= 200;
    if (!has_status) return corrupt("no status code");
    for (;;) {
        const auto line = take_line(head);
        if (!line) return corrupt("a broken header line");
        if (line->empty()) break;
        const auto field = parse_field(*line);
        bool is_valid = field.has_value();
        if (field) take_field(*field, reply, is_valid);
        if (!is_valid) return corrupt("a broken header line");
    }
    // RFC 9112, section 6.3: no body, whatever the head says of one.
    if (reply.status == 204 && !reply.is_chunked) reply.content_length = 0;
    if (reply.is_chunked == reply.content_length.has_value()) {
        return corrupt("neither or both of content-length and chunked coding");
    }
    return reply;
}

}  // namespace turnpike::gateway
