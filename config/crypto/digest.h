// SHA-256, HMAC-SHA-256, constant-time comparison and randomness, over OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "config/base/result.h"
#include "config/base/secret.h"

namespace turnpike::crypto {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(std::string_view data);

// SHA-256 of what comes in pieces.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::string_view data);
    // Once, at the end.
    Digest finish();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// HMAC-SHA-256 with a key set once; a call costs two SHA-256 blocks and no allocation beyond
// OpenSSL's. Not thread-safe: one per thread.
class HmacSha256 {
  public:
    explicit HmacSha256(const Secret& key);
    ~HmacSha256();
    HmacSha256(HmacSha256&&) noexcept;
    HmacSha256& operator=(HmacSha256&&) noexcept;

    Digest compute(std::string_view data);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Time depends on the length only.
bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);

// Lower-case hexadecimal, and back (an odd length or another character is kInvalidArgument).
std::string to_hex(std::span<const std::uint8_t> bytes);
Result<std::string> from_hex(std::string_view hex);

// Fills from the operating system's generator; failure aborts.
void fill_random(std::span<std::uint8_t> bytes);

}  // namespace turnpike::crypto
