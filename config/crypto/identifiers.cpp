#include "config/crypto/identifiers.h"

#include <array>
#include <cstdint>
#include <span>

#include "config/crypto/digest.h"

namespace turnpike::crypto {
namespace {

constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::string_view kCrockfordLower = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::string_view kBase62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kKeyPrefix = "tp_live_";
constexpr std::size_t kNumRandomCharacters = 30;
constexpr std::size_t kNumChecksumCharacters = 6;
constexpr std::size_t kUlidCharacters = 26;
constexpr std::size_t kUlidTimeCharacters = 10;

// What each byte does to a CRC-32 (reflected polynomial of IEEE 802.3): every request checks a key.
constexpr std::array<std::uint32_t, 256> make_crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        table[byte] = crc;
    }
    return table;
}

std::uint32_t crc32(std::string_view data) {
    static constexpr std::array<std::uint32_t, 256> kTable = make_crc_table();
    std::uint32_t crc = 0xFFFFFFFFU;
    for (const char c : data)
        crc = (crc >> 8) ^ kTable[(crc ^ static_cast<std::uint8_t>(c)) & 0xFFU];
    return ~crc;
}

std::string checksum_of(std::string_view text) {
    std::uint32_t crc = crc32(text);
    std::string digits(kNumChecksumCharacters, '0');
    for (std::size_t i = digits.size(); i > 0; --i) {
        digits[i - 1] = kBase62[crc % 62];
        crc /= 62;
    }
    return digits;
}

// Characters of an alphabet whose size divides 256.
std::string random_base32(std::string_view alphabet, std::size_t count) {
    std::string bytes(count, '\0');
    fill_random({reinterpret_cast<std::uint8_t*>(bytes.data()), count});
    for (char& c : bytes) c = alphabet[static_cast<std::uint8_t>(c) % 32];
    return bytes;
}

// Rejection keeps the 62 characters equally likely.
std::string random_base62(std::size_t count) {
    std::string text;
    while (text.size() < count) {
        std::array<std::uint8_t, 64> bytes{};
        fill_random(bytes);
        for (const std::uint8_t byte : bytes) {
            if (byte < 248 && text.size() < count) text += kBase62[byte % 62];
        }
    }
    return text;
}

}  // namespace

RequestId new_request_id(WallTime now) {
    auto milliseconds = static_cast<std::uint64_t>(to_unix_us(now) / 1000);
    std::string id(kUlidTimeCharacters, '0');
    for (std::size_t i = kUlidTimeCharacters; i > 0; --i) {
        id[i - 1] = kCrockford[milliseconds % 32];
        milliseconds /= 32;
    }
    return RequestId(id + random_base32(kCrockford, kUlidCharacters - kUlidTimeCharacters));
}

Result<WallTime> time_of(const RequestId& id) {
    const std::string& text = id.value();
    std::int64_t milliseconds = 0;
    bool is_valid = text.size() == kUlidCharacters && text[0] <= '7';
    for (std::size_t i = 0; is_valid && i < text.size(); ++i) {
        const std::size_t digit = kCrockford.find(text[i]);
        is_valid = digit != std::string_view::npos;
        if (is_valid && i < kUlidTimeCharacters) {
            milliseconds = milliseconds * 32 + static_cast<std::int64_t>(digit);
        }
    }
    if (!is_valid) {
        return invalid_argument("expected a request id of 26 Crockford base32 characters (ULID)");
    }
    return from_unix_us(milliseconds * 1000);
}

std::string new_id(std::string_view prefix) {
    return std::string(prefix) + random_base32(kCrockfordLower, kUlidCharacters);
}

std::string new_uuid4() {
    std::array<std::uint8_t, 16> bytes{};
    fill_random(bytes);
    bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);  // version 4
    bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3F) | 0x80);  // RFC variant
    std::string text = to_hex(bytes);
    for (const std::size_t at : {20U, 16U, 12U, 8U}) text.insert(at, 1, '-');
    return text;
}

Secret new_api_key() {
    const std::string body = std::string(kKeyPrefix) + random_base62(kNumRandomCharacters);
    return Secret(body + checksum_of(body));
}

bool is_well_formed_api_key(std::string_view key) {
    constexpr std::size_t kBodyLength = kKeyPrefix.size() + kNumRandomCharacters;
    if (key.size() != kBodyLength + kNumChecksumCharacters) return false;
    if (key.substr(0, kKeyPrefix.size()) != kKeyPrefix) return false;
    return key.substr(kBodyLength) == checksum_of(key.substr(0, kBodyLength));
}

std::string redact_api_key(std::string_view key) {
    constexpr std::size_t kNumShown = kKeyPrefix.size() + 2;
    if (key.size() < kNumShown + 4) return "***";
    return std::string(key.substr(0, kNumShown)) + "…" + std::string(key.substr(key.size() - 4));
}

}  // namespace turnpike::crypto
