// What request and reply heads share: header lines, and comparisons without case. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace turnpike::gateway {

struct HeaderField {
    std::string_view name;
    std::string_view value;  // without the spaces around it
};

bool equals_ignoring_case(std::string_view a, std::string_view b);

// Whether `token` is one of the comma-separated members of `list`, without regard to case.
bool has_token(std::string_view list, std::string_view token);

// The field on one line without its CRLF. Empty when the line breaks RFC 9112, section 5: no token
// before the colon, a space before it, or a control byte in the value.
std::optional<HeaderField> parse_field(std::string_view line);

// Decimal digits alone, within std::size_t.
std::optional<std::size_t> parse_length(std::string_view text);

bool is_token(std::string_view text);

// Takes the next line, without its CRLF, off `text`, which must hold one. Empty when the line holds
// a bare CR or LF.
std::optional<std::string_view> take_line(std::string_view& text);

}  // namespace turnpike::gateway
