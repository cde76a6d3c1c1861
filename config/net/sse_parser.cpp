#include "config/net/sse_parser.h"

#include <utility>

namespace turnpike::net {

SseParser::SseParser(std::function<void(const SseEvent&)> on_event,
                     std::function<void(std::string_view)> on_comment)
    : on_event_(std::move(on_event)), on_comment_(std::move(on_comment)) {}

void SseParser::feed(std::string_view bytes) {
    for (const char c : bytes) {
        const bool is_second_half_of_crlf = c == '\n' && last_was_cr_;
        last_was_cr_ = c == '\r';
        if (is_second_half_of_crlf) continue;
        if (c != '\n' && c != '\r') {
            line_ += c;
            continue;
        }
        take_line(line_);
        line_.clear();
    }
}

void SseParser::take_line(std::string_view line) {
    if (line.empty()) {
        if (has_data_) on_event_(event_);
        event_ = SseEvent();
        has_data_ = false;
        return;
    }
    const std::size_t colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value =
        colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field.empty()) {
        on_comment_(value);
    } else if (field == "data") {
        if (has_data_) event_.data += '\n';
        event_.data += value;
        has_data_ = true;
    } else if (field == "event") {
        event_.event = value;
    }
}

}  // namespace turnpike::net
