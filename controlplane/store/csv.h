// CSV as RFC 4180 has it, and safe in a spreadsheet: text that would be taken for a formula begins
// with an apostrophe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace turnpike::controlplane {

// With CRLF at the end.
inline std::string csv_row(const std::vector<std::string>& fields) {
    std::string row;
    for (const std::string& field : fields) {
        if (&field != &fields.front()) row += ',';
        const bool is_number = field.find_first_not_of("+-0123456789.") == std::string::npos;
        const bool is_formula =
            !field.empty() && !is_number &&
            std::string_view("=+-@\t\r").find(field[0]) != std::string_view::npos;
        const std::string text = (is_formula ? "'" : "") + field;
        const bool needs_quotes = text.find_first_of(",\"\r\n") != std::string::npos;
        if (needs_quotes) row += '"';
        for (const char c : text) {
            if (c == '"' && needs_quotes) row += '"';
            row += c;
        }
        if (needs_quotes) row += '"';
    }
    return row + "\r\n";
}

}  // namespace turnpike::controlplane
