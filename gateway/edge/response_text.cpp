#include "gateway/edge/response_text.h"

#include <array>
#include <cstdio>

#include "config/net/http_message.h"
#include "gateway/policy/retry_hints.h"

namespace turnpike::gateway {

void append_head(std::string& out, const ResponseHead& head) {
    out += "HTTP/1.1 ";
    out += std::to_string(head.status);
    out += ' ';
    out += net::reason_phrase(head.status);
    out += "\r\n";
    // RFC 9110, section 8.6: an answer without content has no content-length.
    const bool has_content = head.status != 204;
    if (has_content) {
        out += "content-type: ";
        out += head.content_type;
        out += "\r\n";
    }
    if (!has_content) {
        // Its head is all of it.
    } else if (head.content_length) {
        out += "content-length: ";
        out += std::to_string(*head.content_length);
        out += "\r\n";
    } else {
        out += "cache-control: no-cache\r\nx-accel-buffering: no\r\n";
        if (!head.is_http10) out += "transfer-encoding: chunked\r\n";
    }
    out += retry_hints(head.status);
    out += head.extra_lines;
    out += "x-request-id: ";
    out += head.request_id;
    out += "\r\ndate: ";
    out += head.date;
    out += head.keeps_alive ? "\r\n\r\n" : "\r\nconnection: close\r\n\r\n";
}

void append_chunk(std::string& out, std::string_view payload) {
    std::array<char, 24> size{};
    const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", payload.size());
    out.append(size.data(), static_cast<std::size_t>(length));
    out += payload;
    out += "\r\n";
}

std::string format_http_date(WallTime time) {
    static constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed",
                                                      "Thu", "Fri", "Sat"};
    static constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                  kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                  kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                  static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()));
    return text.data();
}

}  // namespace turnpike::gateway
