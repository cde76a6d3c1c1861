#include "gateway/policy/limit_headers.h"

#include <algorithm>

namespace turnpike::gateway {
namespace {

constexpr Nanos kMilli = 1'000'000;
constexpr Nanos kSecond = 1'000'000'000;

std::int64_t round_up(std::int64_t amount, std::int64_t unit) {
    return (amount + unit - 1) / unit;
}

void append_line(std::string& lines, const char* name, const std::string& value) {
    lines += name;
    lines += ": ";
    lines += value;
    lines += "\r\n";
}

void append_seconds(std::string& lines, const char* name, Nanos duration) {
    append_line(lines, name, std::to_string(round_up(duration, kSecond)));
}

// Thousandths without trailing zeros: 1500 -> "1.5".
std::string seconds_text(std::int64_t ms) {
    std::string text = std::to_string(ms / 1000);
    if (ms % 1000 == 0) return text;
    std::string digits = std::to_string(1000 + ms % 1000).substr(1);
    while (digits.back() == '0') digits.pop_back();
    return text + "." + digits;
}

const char* unit_of(LimitKind kind) {
    switch (kind) {
        case LimitKind::kRequests:
            return " requests per minute";
        case LimitKind::kTokens:
            return " tokens per minute";
        case LimitKind::kConcurrency:
            return " requests at a time";
    }
    return "";
}

void append_per_second(std::string& lines,
                       const LimitView& view,
                       const char* limit_name,
                       const char* remaining_name) {
    const std::int64_t per_second = round_up(view.limit, 60);
    append_line(lines, limit_name, std::to_string(per_second));
    append_line(lines, remaining_name, std::to_string(std::min(per_second, view.remaining)));
}

}  // namespace

std::string format_reset(Nanos duration) {
    const std::int64_t ms = round_up(std::max<Nanos>(0, duration), kMilli);
    if (ms == 0) return "0s";
    if (ms < 1000) return std::to_string(ms) + "ms";
    if (ms < 60'000) return seconds_text(ms) + "s";
    return std::to_string(ms / 60'000) + "m" + seconds_text(ms % 60'000) + "s";
}

std::string limit_lines(const LimitViews& views, std::optional<Nanos> retry_after) {
    std::string lines;
    if (views.requests) {
        const LimitView& view = *views.requests;
        append_line(lines, "x-ratelimit-limit-requests", std::to_string(view.limit));
        append_line(lines, "x-ratelimit-remaining-requests", std::to_string(view.remaining));
        append_line(lines, "x-ratelimit-reset-requests", format_reset(view.reset_after));
        append_per_second(lines, view, "x-ratelimit-limit", "x-ratelimit-remaining");
        if (!retry_after) append_seconds(lines, "x-ratelimit-reset", view.reset_after);
    }
    if (views.tokens) {
        const LimitView& view = *views.tokens;
        append_line(lines, "x-ratelimit-limit-tokens", std::to_string(view.limit));
        append_line(lines, "x-ratelimit-remaining-tokens", std::to_string(view.remaining));
        append_line(lines, "x-ratelimit-reset-tokens", format_reset(view.reset_after));
        append_per_second(lines, view, "x-tokenlimit-limit", "x-tokenlimit-remaining");
    }
    if (retry_after) {
        append_seconds(lines, "x-ratelimit-reset", *retry_after);
        append_seconds(lines, "retry-after", *retry_after);
        append_line(lines, "retry-after-ms", std::to_string(round_up(*retry_after, kMilli)));
    }
    return lines;
}

std::string refusal_text(const LimitRefusal& refusal) {
    return "the " + std::string(refusal.scope) + "'s limit of " + std::to_string(refusal.limit) +
           unit_of(refusal.kind) + " is reached: try again in " + format_reset(refusal.retry_after);
}

}  // namespace turnpike::gateway
