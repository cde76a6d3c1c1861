#include "config/base/money.h"

#include <limits>

#include "config/base/check.h"

namespace turnpike {
namespace {

constexpr std::int64_t kNanosPerUsd = 1'000'000'000;
constexpr std::size_t kMaxDecimals = 9;

bool is_digits(std::string_view text) {
    for (const char c : text) {
        if (c < '0' || c > '9') return false;
    }
    return true;
}

}  // namespace

NanoUsd operator+(NanoUsd a, NanoUsd b) {
    std::int64_t sum = 0;
    CHECK(!__builtin_add_overflow(a.value(), b.value(), &sum));
    return NanoUsd(sum);
}

NanoUsd operator-(NanoUsd a, NanoUsd b) {
    std::int64_t difference = 0;
    CHECK(!__builtin_sub_overflow(a.value(), b.value(), &difference));
    return NanoUsd(difference);
}

NanoUsd operator-(NanoUsd a) {
    return NanoUsd() - a;
}

NanoUsd multiply(NanoUsd per_token, TokenCount num_tokens) {
    std::int64_t product = 0;
    CHECK(!__builtin_mul_overflow(per_token.value(), num_tokens, &product));
    return NanoUsd(product);
}

Result<NanoUsd> parse_usd(std::string_view text) {
    const Error bad = invalid_argument(
        "expected an amount in USD such as 20 or 0.000003 with at most nine decimals, found '" +
        excerpt(text) + "'");
    const bool is_negative = !text.empty() && text.front() == '-';
    std::string_view rest = is_negative ? text.substr(1) : text;
    const std::size_t dot = rest.find('.');
    const std::string_view whole = rest.substr(0, dot);
    const std::string_view decimals =
        dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    const bool has_dangling_dot = dot != std::string_view::npos && decimals.empty();
    if (whole.empty() || has_dangling_dot || decimals.size() > kMaxDecimals || !is_digits(whole) ||
        !is_digits(decimals)) {
        return bad;
    }
    std::int64_t nanos = 0;
    for (const char c : whole) {
        if (__builtin_mul_overflow(nanos, 10, &nanos) ||
            __builtin_add_overflow(nanos, c - '0', &nanos))
            return bad;
    }
    if (__builtin_mul_overflow(nanos, kNanosPerUsd, &nanos)) return bad;
    std::int64_t fraction = 0;
    for (std::size_t i = 0; i < kMaxDecimals; ++i) {
        fraction = fraction * 10 + (i < decimals.size() ? decimals[i] - '0' : 0);
    }
    if (__builtin_add_overflow(nanos, fraction, &nanos)) return bad;
    return NanoUsd(is_negative ? -nanos : nanos);
}

std::string format_usd(NanoUsd amount) {
    // Negating the minimum overflows, so the digits come from an unsigned magnitude.
    const bool is_negative = amount.value() < 0;
    const std::uint64_t magnitude = is_negative ? 0 - static_cast<std::uint64_t>(amount.value())
                                                : static_cast<std::uint64_t>(amount.value());
    std::string decimals = std::to_string(magnitude % kNanosPerUsd);
    decimals.insert(0, kMaxDecimals - decimals.size(), '0');
    while (decimals.size() > 2 && decimals.back() == '0') decimals.pop_back();
    return (is_negative ? "-" : "") + std::to_string(magnitude / kNanosPerUsd) + "." + decimals;
}

NanoUsd cost_of(const Price& price, const TokenUsage& usage) {
    CHECK(usage.cached_tokens >= 0 && usage.cached_tokens <= usage.prompt_tokens);
    return multiply(price.input_nano_usd, usage.prompt_tokens - usage.cached_tokens) +
           multiply(price.cached_input_nano_usd, usage.cached_tokens) +
           multiply(price.output_nano_usd, usage.completion_tokens);
}

}  // namespace turnpike
