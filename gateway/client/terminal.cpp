#include "gateway/client/terminal.h"

#include <cstddef>
#include <cstdint>

namespace turnpike::gateway::client {
namespace {

constexpr std::size_t kMalformed = 0;

std::size_t length_by_lead(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return 2;
    if (lead >= 0xE0 && lead <= 0xEF) return 3;
    if (lead >= 0xF0 && lead <= 0xF4) return 4;
    return kMalformed;
}

// Second bytes whose code point would be overlong, a surrogate or beyond U+10FFFF.
bool is_second_allowed(unsigned char lead, unsigned char second) {
    switch (lead) {
        case 0xE0:
            return second >= 0xA0;
        case 0xED:
            return second <= 0x9F;
        case 0xF0:
            return second >= 0x90;
        case 0xF4:
            return second <= 0x8F;
        default:
            return true;
    }
}

// Bytes of the well-formed UTF-8 sequence at the front (RFC 3629), or kMalformed.
std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::size_t length = length_by_lead(byte(0));
    if (length == kMalformed || length > text.size()) return kMalformed;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) return kMalformed;
    }
    return length == 1 || is_second_allowed(byte(0), byte(1)) ? length : kMalformed;
}

bool is_control(std::string_view sequence) {
    const auto first = static_cast<unsigned char>(sequence[0]);
    if (sequence.size() == 1)
        return (first < 0x20 && first != '\n' && first != '\t') || first == 0x7F;
    return first == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;  // C1
}

}  // namespace

std::string escape_controls(std::string_view text) {
    constexpr char kHexDigits[] = "0123456789abcdef";
    std::string safe;
    safe.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = sequence_length(text);
        const std::string_view sequence = text.substr(0, length == kMalformed ? 1 : length);
        if (length != kMalformed && !is_control(sequence)) {
            safe += sequence;
        } else {
            for (const char c : sequence) {
                const auto byte = static_cast<unsigned char>(c);
                safe += {'\\', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15]};
            }
        }
        text.remove_prefix(sequence.size());
    }
    return safe;
}

}  // namespace turnpike::gateway::client
