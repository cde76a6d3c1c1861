#include "engine/text/utf8.h"

#include <cstdint>
#include <cstring>

namespace turnpike::engine::text {
namespace {

// The allowed range of the second byte (RFC 3629, section 4); later ones are 80..BF.
struct Lead {
    std::size_t length;
    std::uint8_t low;
    std::uint8_t high;
    std::uint8_t bits;  // of the lead byte that belong to the code point
};

Lead lead_of(std::uint8_t byte) {
    if (byte < 0x80) return {1, 0, 0, 0x7F};
    if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF, 0x1F};
    if (byte == 0xE0) return {3, 0xA0, 0xBF, 0x0F};
    if (byte == 0xED) return {3, 0x80, 0x9F, 0x0F};
    if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF, 0x0F};
    if (byte == 0xF0) return {4, 0x90, 0xBF, 0x07};
    if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF, 0x07};
    if (byte == 0xF4) return {4, 0x80, 0x8F, 0x07};
    return {0, 0, 0, 0};
}

bool are_eight_ascii(const char* bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return (word & 0x8080808080808080U) == 0;
}

}  // namespace

Utf8Step next_utf8(std::string_view text) {
    const auto first = static_cast<std::uint8_t>(text[0]);
    const Lead lead = lead_of(first);
    if (lead.length == 0) return {1, 0, false, false};
    char32_t code_point = first & lead.bits;
    for (std::size_t i = 1; i < lead.length; ++i) {
        if (i == text.size()) return {i, 0, false, true};
        const auto byte = static_cast<std::uint8_t>(text[i]);
        const std::uint8_t low = i == 1 ? lead.low : 0x80;
        const std::uint8_t high = i == 1 ? lead.high : 0xBF;
        if (byte < low || byte > high) return {i, 0, false, false};
        code_point = code_point << 6 | (byte & 0x3FU);
    }
    return {lead.length, code_point, true, false};
}

std::size_t valid_utf8_prefix(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        if (at + 8 <= text.size() && are_eight_ascii(text.data() + at)) {
            at += 8;
            continue;
        }
        const Utf8Step step = next_utf8(text.substr(at));
        if (!step.is_valid) break;
        at += step.length;
    }
    return at;
}

}  // namespace turnpike::engine::text
