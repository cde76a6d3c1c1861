// SseParser: text/event-stream to events, whatever the split of the bytes (WHATWG HTML,
// section 9.2).
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace turnpike::net {

struct SseEvent {
    std::string event;  // empty for the default "message"
    std::string data;   // data lines joined by "\n"
};

class SseParser {
  public:
    // Comment lines (": meter 1 0 0 0") are given without the colon and one following space.
    SseParser(std::function<void(const SseEvent&)> on_event,
              std::function<void(std::string_view)> on_comment);

    void feed(std::string_view bytes);

  private:
    void take_line(std::string_view line);

    std::function<void(const SseEvent&)> on_event_;
    std::function<void(std::string_view)> on_comment_;
    std::string line_;
    SseEvent event_;
    bool has_data_ = false;
    bool last_was_cr_ = false;
};

}  // namespace turnpike::net
