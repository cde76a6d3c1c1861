// What every fuzz target shares. A target is one file that defines LLVMFuzzerTestOneInput, and
// holds what it was given against an invariant with CHECK, which aborts: driver.cpp and libFuzzer
// both save the input that did.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "config/base/check.h"
#include "config/base/error.h"

// libFuzzer's entry point: returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace turnpike::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// An error of a parser: one of `codes`, with a message that says something, of a size that does not
// depend on the input's.
inline void check_error(const Error& error, std::initializer_list<ErrorCode> codes) {
    constexpr std::size_t kMaxMessageBytes = 1000;
    bool is_expected_code = false;
    for (const ErrorCode code : codes) is_expected_code = is_expected_code || code == error.code;
    CHECK(is_expected_code);
    CHECK(!error.message.empty());
    CHECK(error.message.size() <= kMaxMessageBytes);
    CHECK(error.param.size() <= kMaxMessageBytes);
}

// Takes values off the front of an input, for targets that need more than one.
class Bytes {
  public:
    explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

    // 0 at the end.
    std::uint8_t byte() {
        const std::string_view taken = take(1);
        return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken.front());
    }

    // At most 255 bytes, fewer at the end; the input says how many.
    std::string_view piece() { return take(byte()); }

    std::string_view rest() { return take(bytes_.size()); }

    bool is_empty() const { return bytes_.empty(); }

  private:
    std::string_view take(std::size_t size) {
        const std::string_view taken = bytes_.substr(0, size);
        bytes_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view bytes_;
};

}  // namespace turnpike::fuzz
