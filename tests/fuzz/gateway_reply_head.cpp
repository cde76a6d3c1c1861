// The head of an engine's reply: corrupt, or a final status with exactly one framing.
#include <string>

#include "gateway/edge/reply_head.h"
#include "tests/fuzz/target.h"

using namespace turnpike;

namespace {

std::string written(const gateway::ReplyHead& head) {
    std::string text = "HTTP/1.1 " + std::to_string(head.status) + "\r\n";
    if (head.content_length) {
        text += "content-length: " + std::to_string(*head.content_length) + "\r\n";
    }
    if (head.is_chunked) text += "transfer-encoding: chunked\r\n";
    if (head.is_event_stream) text += "content-type: text/event-stream\r\n";
    if (!head.keeps_alive) text += "connection: close\r\n";
    return text + "\r\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    const auto head = gateway::parse_reply_head(text);
    if (!head) {
        fuzz::check_error(head.error(), {ErrorCode::kCorrupt});
        return 0;
    }
    CHECK(text.find("\r\n\r\n") != std::string_view::npos);
    CHECK(head->status >= 200 && head->status <= 999);
    CHECK(head->is_chunked != head->content_length.has_value());
    const std::string plain = written(*head);
    const auto again = gateway::parse_reply_head(plain);
    CHECK(again);
    CHECK(written(*again) == plain);
    return 0;
}
