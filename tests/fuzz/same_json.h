// Whether a codec understood what it accepted: each value that it writes stands in the text that it
// read.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace turnpike::fuzz {

// Members that `read` has and `written` lacks were ignored; null and an empty list are the same as
// absent.
inline bool is_part_of(const nlohmann::json& written, const nlohmann::json& read) {
    if (written.is_null()) return read.is_null();
    if (written.is_array()) {
        if (!read.is_array() || read.size() != written.size()) return false;
        for (std::size_t i = 0; i < written.size(); ++i) {
            if (!is_part_of(written[i], read[i])) return false;
        }
        return true;
    }
    if (!written.is_object()) return written == read;
    for (const auto& [key, value] : written.items()) {
        const auto found = read.find(key);
        const bool says_nothing = value.is_null() || (value.is_array() && value.empty());
        if (found == read.end() ? !says_nothing : !is_part_of(value, *found)) return false;
    }
    return read.is_object();
}

inline bool is_part_of(std::string_view written, std::string_view read) {
    return is_part_of(nlohmann::json::parse(written, nullptr, false),
                      nlohmann::json::parse(read, nullptr, false));
}

}  // namespace turnpike::fuzz
