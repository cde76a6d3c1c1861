// The frame of an outbox entry, so that a damaged payload gets past the checksum.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace turnpike::fuzz {

// CRC-32 of IEEE 802.3, bit by bit.
inline std::uint32_t crc32(std::string_view bytes) {
    std::uint32_t crc = 0xFFFFFFFFU;
    for (const char c : bytes) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        }
    }
    return ~crc;
}

inline std::string framed(std::string_view payload) {
    std::string entry;
    for (const std::uint32_t word : {static_cast<std::uint32_t>(payload.size()), crc32(payload)}) {
        for (unsigned shift = 0; shift < 32; shift += 8) entry += static_cast<char>(word >> shift);
    }
    return entry + std::string(payload);
}

}  // namespace turnpike::fuzz
