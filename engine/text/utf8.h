// UTF-8 as RFC 3629 defines it, one sequence at a time.
#pragma once

#include <cstddef>
#include <string_view>

namespace turnpike::engine::text {

struct Utf8Step {
    std::size_t length = 0;   // bytes taken: a sequence, or the longest prefix of one that went
                              // wrong ("maximal subpart", Unicode 15, section 3.9)
    char32_t code_point = 0;  // when valid
    bool is_valid = false;
    bool is_unfinished = false;  // valid so far, and the text ends
};

// `text` is not empty.
Utf8Step next_utf8(std::string_view text);

// The length of the longest prefix that is valid and complete.
std::size_t valid_utf8_prefix(std::string_view text);

}  // namespace turnpike::engine::text
