#include "engine/text/byte_level.h"

#include <array>

namespace turnpike::engine::text {
namespace {

constexpr int kNumBytes = 256;

constexpr bool stands_for_itself(int byte) {
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) ||
           (byte >= 174 && byte <= 255);
}

constexpr std::array<std::uint16_t, kNumBytes> make_alphabet() {
    std::array<std::uint16_t, kNumBytes> alphabet{};
    std::uint16_t next = 256;
    for (int byte = 0; byte < kNumBytes; ++byte) {
        alphabet[static_cast<std::size_t>(byte)] =
            stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
    }
    return alphabet;
}

constexpr auto kAlphabet = make_alphabet();
constexpr std::size_t kAlphabetEnd = 256 + 68;

constexpr std::array<std::int16_t, kAlphabetEnd> make_inverse() {
    std::array<std::int16_t, kAlphabetEnd> inverse{};
    for (auto& byte : inverse) byte = -1;
    for (std::size_t byte = 0; byte < kNumBytes; ++byte) {
        inverse[kAlphabet[byte]] = static_cast<std::int16_t>(byte);
    }
    return inverse;
}

constexpr auto kInverse = make_inverse();

}  // namespace

std::string to_byte_level(std::string_view bytes) {
    std::string text;
    for (const char c : bytes) {
        const unsigned code_point = kAlphabet[static_cast<std::uint8_t>(c)];
        if (code_point < 0x80) {
            text += static_cast<char>(code_point);
        } else {
            text += static_cast<char>(0xC0 | (code_point >> 6));
            text += static_cast<char>(0x80 | (code_point & 0x3F));
        }
    }
    return text;
}

Result<std::string> from_byte_level(std::string_view text) {
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
        // Every code point of the alphabet has one or two UTF-8 bytes.
        unsigned code_point = static_cast<std::uint8_t>(text[i]);
        if (code_point >= 0x80) {
            const unsigned second =
                i + 1 < text.size() ? static_cast<std::uint8_t>(text[i + 1]) : 0U;
            code_point = (code_point & 0x1F) << 6 | (second & 0x3F);
            ++i;
        }
        const int byte = code_point < kAlphabetEnd ? kInverse[code_point] : -1;
        if (byte < 0) {
            return Error{ErrorCode::kCorrupt,
                         "expected a byte-level token, found '" + std::string(text) + "'",
                         {}};
        }
        bytes += static_cast<char>(byte);
    }
    return bytes;
}

}  // namespace turnpike::engine::text
