#include "gateway/edge/request_head.h"

#include "config/base/limits.h"
#include "gateway/edge/header_scan.h"

namespace turnpike::gateway {
namespace {

// Fields that decide how a message is read, and therefore may stand once only.
struct SeenOnce {
    bool host = false;
    bool content_length = false;
    bool transfer_encoding = false;
    bool authorization = false;
};

Error bad(const char* message) {
    return invalid_argument(message);
}

Status take_once(bool& seen) {
    if (seen) return bad("a header field that may stand once stands twice");
    seen = true;
    return {};
}

Status parse_request_line(std::string_view line, RequestHead& head) {
    const std::size_t method_end = line.find(' ');
    const std::size_t target_end = line.rfind(' ');
    if (method_end == std::string_view::npos || target_end <= method_end + 1) {
        return bad("the request line is not 'METHOD target HTTP/1.1'");
    }
    head.method = line.substr(0, method_end);
    head.target = line.substr(method_end + 1, target_end - method_end - 1);
    head.path = head.target.substr(0, head.target.find('?'));
    const std::string_view version = line.substr(target_end + 1);
    head.is_http10 = version == "HTTP/1.0";
    head.keeps_alive = !head.is_http10;
    if (!head.is_http10 && version != "HTTP/1.1") return bad("the version is not HTTP/1.1");
    if (!is_token(head.method)) return bad("the method is no token");
    for (const char c : head.target) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= ' ' || byte >= 0x7f) return bad("the request target has an unescaped byte");
    }
    return {};
}

Status take_framing(const HeaderField& field, RequestHead& head, SeenOnce& seen) {
    if (equals_ignoring_case(field.name, "content-length")) {
        RETURN_IF_ERROR(take_once(seen.content_length));
        head.content_length = parse_length(field.value);
        if (!head.content_length) return bad("content-length is no number");
    } else if (equals_ignoring_case(field.name, "transfer-encoding")) {
        RETURN_IF_ERROR(take_once(seen.transfer_encoding));
        head.is_chunked = equals_ignoring_case(field.value, "chunked");
        if (!head.is_chunked) return bad("transfer-encoding is not 'chunked'");
    } else if (equals_ignoring_case(field.name, "connection")) {
        if (has_token(field.value, "close")) head.keeps_alive = false;
    } else if (equals_ignoring_case(field.name, "expect")) {
        head.expects_continue = equals_ignoring_case(field.value, "100-continue");
    }
    return {};
}

Status take_field(const HeaderField& field, RequestHead& head, SeenOnce& seen) {
    RETURN_IF_ERROR(take_framing(field, head, seen));
    if (equals_ignoring_case(field.name, "host")) {
        RETURN_IF_ERROR(take_once(seen.host));
    } else if (equals_ignoring_case(field.name, "authorization")) {
        RETURN_IF_ERROR(take_once(seen.authorization));
        head.authorization = field.value;
    } else if (equals_ignoring_case(field.name, "content-type")) {
        head.content_type = field.value;
    } else if (equals_ignoring_case(field.name, "content-encoding")) {
        head.content_encoding = field.value;
    } else if (equals_ignoring_case(field.name, "user-agent")) {
        head.user_agent = field.value;
    } else if (equals_ignoring_case(field.name, "idempotency-key")) {
        head.idempotency_key = field.value;
    }
    return {};
}

}  // namespace

Result<RequestHead> parse_request_head(std::string_view text) {
    RequestHead head;
    const auto request_line = take_line(text);
    if (!request_line) return bad("the request line holds a bare CR or LF");
    RETURN_IF_ERROR(parse_request_line(*request_line, head));
    SeenOnce seen;
    for (std::size_t num_fields = 0;; ++num_fields) {
        const auto line = take_line(text);
        if (!line) return bad("a header line holds a bare CR or LF");
        if (line->empty()) break;
        if (num_fields == limits::kMaxHeaderFields) {
            return Error{ErrorCode::kHeaderTooLarge, "the request has too many header fields", {}};
        }
        const auto field = parse_field(*line);
        if (!field) return bad("a header line is not 'name: value'");
        RETURN_IF_ERROR(take_field(*field, head, seen));
    }
    if (!seen.host && !head.is_http10) return bad("the host header is missing");
    if (head.is_chunked && (head.content_length || head.is_http10)) {
        return bad("chunked coding with a content-length, or under HTTP/1.0");
    }
    if (head.is_http10) head.keeps_alive = false;
    return head;
}

}  // namespace turnpike::gateway
