// A client's request head: refused, or views of the input whose meaning survives being written in
// its plainest form; framing is never in doubt.
#include <string>

#include "gateway/edge/request_head.h"
#include "tests/fuzz/target.h"

using namespace turnpike;
using gateway::RequestHead;

namespace {

bool is_within(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

bool has_line_end(std::string_view text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

void check_views(const RequestHead& head, std::string_view text) {
    for (const std::string_view part :
         {head.method, head.target, head.path, head.authorization, head.content_type,
          head.content_encoding, head.user_agent}) {
        CHECK(is_within(part, text));
        CHECK(!has_line_end(part));
    }
    CHECK(!head.method.empty() && !head.target.empty());
    CHECK(head.target.find(' ') == std::string_view::npos);
    CHECK(head.target.starts_with(head.path));
}

std::string field(std::string_view name, std::string_view value) {
    return value.empty() ? std::string() : std::string(name) + ": " + std::string(value) + "\r\n";
}

std::string written(const RequestHead& head) {
    std::string text = std::string(head.method) + " " + std::string(head.target) +
                       (head.is_http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n") + "Host: h\r\n";
    text += field("Authorization", head.authorization);
    text += field("Content-Type", head.content_type);
    text += field("Content-Encoding", head.content_encoding);
    text += field("User-Agent", head.user_agent);
    if (head.content_length) text += field("Content-Length", std::to_string(*head.content_length));
    if (head.is_chunked) text += "Transfer-Encoding: chunked\r\n";
    if (!head.keeps_alive) text += "Connection: close\r\n";
    if (head.expects_continue) text += "Expect: 100-continue\r\n";
    return text + "\r\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    const auto head = gateway::parse_request_head(text);
    if (!head) {
        fuzz::check_error(head.error(), {ErrorCode::kInvalidArgument, ErrorCode::kHeaderTooLarge});
        return 0;
    }
    CHECK(text.find("\r\n\r\n") != std::string_view::npos);
    CHECK(!(head->is_chunked && head->content_length));
    CHECK(!(head->is_http10 && (head->is_chunked || head->keeps_alive)));
    check_views(*head, text);
    const std::string plain = written(*head);
    const auto again = gateway::parse_request_head(plain);
    CHECK(again);
    CHECK(written(*again) == plain);
    return 0;
}
