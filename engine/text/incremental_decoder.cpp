#include "engine/text/incremental_decoder.h"

#include <cstdint>

namespace turnpike::engine::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Step {
    std::size_t length;  // bytes taken
    bool is_valid;
    bool is_unfinished;  // valid so far, and the text ends
};

// The allowed range of the second byte (RFC 3629, section 4); later ones are 80..BF.
struct Lead {
    std::size_t length;
    std::uint8_t low;
    std::uint8_t high;
};

Lead lead_of(std::uint8_t byte) {
    if (byte < 0x80) return {1, 0, 0};
    if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
    if (byte == 0xE0) return {3, 0xA0, 0xBF};
    if (byte == 0xED) return {3, 0x80, 0x9F};
    if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
    if (byte == 0xF0) return {4, 0x90, 0xBF};
    if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
    if (byte == 0xF4) return {4, 0x80, 0x8F};
    return {0, 0, 0};
}

// One sequence, or the longest prefix of one that went wrong ("maximal subpart", Unicode 15,
// section 3.9).
Step next_sequence(std::string_view text) {
    const Lead lead = lead_of(static_cast<std::uint8_t>(text[0]));
    if (lead.length == 0) return {1, false, false};
    for (std::size_t i = 1; i < lead.length; ++i) {
        if (i == text.size()) return {i, false, true};
        const auto byte = static_cast<std::uint8_t>(text[i]);
        const std::uint8_t low = i == 1 ? lead.low : 0x80;
        const std::uint8_t high = i == 1 ? lead.high : 0xBF;
        if (byte < low || byte > high) return {i, false, false};
    }
    return {lead.length, true, false};
}

}  // namespace

std::string IncrementalDecoder::push_bytes(std::string_view bytes) {
    held_ += bytes;
    std::string text;
    std::string_view rest = held_;
    while (!rest.empty()) {
        const Step step = next_sequence(rest);
        if (step.is_unfinished) break;
        text += step.is_valid ? rest.substr(0, step.length) : kReplacement;
        rest.remove_prefix(step.length);
    }
    held_ = std::string(rest);
    return text;
}

std::string IncrementalDecoder::flush() {
    const bool has_held = !held_.empty();
    held_.clear();
    return has_held ? std::string(kReplacement) : std::string();
}

}  // namespace turnpike::engine::text
