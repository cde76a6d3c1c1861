// Money is an integer of 10^-9 USD. Nothing rounds before the invoice; a price that is no integer
// of nano-dollars per token does not exist.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/result.h"

namespace turnpike {

using TokenCount = std::int64_t;

class NanoUsd {
  public:
    constexpr NanoUsd() = default;

    constexpr explicit NanoUsd(std::int64_t nanos) : nanos_(nanos) {}

    constexpr std::int64_t value() const { return nanos_; }

    friend auto operator<=>(const NanoUsd&, const NanoUsd&) = default;
    friend bool operator==(const NanoUsd&, const NanoUsd&) = default;

  private:
    std::int64_t nanos_ = 0;
};

// Exact sums and products; overflow of 64 bits aborts, since such a bill is a bug.
NanoUsd operator+(NanoUsd a, NanoUsd b);
NanoUsd operator-(NanoUsd a, NanoUsd b);
NanoUsd operator-(NanoUsd a);
NanoUsd multiply(NanoUsd per_token, TokenCount num_tokens);

// "12.5" -> 12,500,000,000 nano-dollars. Refuses more than nine decimals, exponents and signs other
// than a leading '-'.
Result<NanoUsd> parse_usd(std::string_view text);

// Shortest exact decimal with at least two decimals: "0.0000861", "20.00", "-3.50".
std::string format_usd(NanoUsd amount);

// What one token or minute of a named model costs. Immutable; a change makes a new version.
struct Price {
    std::int64_t version = 0;
    NanoUsd input_nano_usd;         // per prompt token that was not cached
    NanoUsd cached_input_nano_usd;  // per prompt token found in the prefix cache
    NanoUsd output_nano_usd;        // per completion token, reasoning included
    NanoUsd per_minute_nano_usd;    // per replica and READY minute, for dedicated endpoints
};

// Of the per-token prices: a million dollars per million tokens, thousands of times any in use.
// Such prices times the tokens of a usage record are far from overflowing.
inline constexpr NanoUsd kMaxTokenPrice{1'000'000'000};

struct TokenUsage {
    TokenCount prompt_tokens = 0;      // cached ones included
    TokenCount cached_tokens = 0;      // at most prompt_tokens
    TokenCount completion_tokens = 0;  // reasoning ones included
    TokenCount reasoning_tokens = 0;   // at most completion_tokens

    friend bool operator==(const TokenUsage&, const TokenUsage&) = default;
};

// (prompt - cached) * input + cached * cached_input + completion * output, exactly.
NanoUsd cost_of(const Price& price, const TokenUsage& usage);

}  // namespace turnpike
