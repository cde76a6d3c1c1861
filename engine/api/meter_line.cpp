#include "engine/api/meter_line.h"

#include <array>
#include <charconv>

namespace turnpike::engine {
namespace {

constexpr std::string_view kPrefix = ": meter ";
constexpr std::string_view kSuffix = "\n\n";

}  // namespace

std::string format_meter_line(const TokenUsage& usage) {
    std::string line(kPrefix);
    line += std::to_string(usage.prompt_tokens) + ' ' + std::to_string(usage.cached_tokens) + ' ' +
            std::to_string(usage.completion_tokens) + ' ' + std::to_string(usage.reasoning_tokens);
    line += kSuffix;
    return line;
}

std::optional<TokenUsage> parse_meter_line(std::string_view chunk) {
    if (!chunk.starts_with(kPrefix) || !chunk.ends_with(kSuffix)) return {};
    chunk.remove_prefix(kPrefix.size());
    chunk.remove_suffix(kSuffix.size());
    std::array<TokenCount, 4> counts{};
    const char* at = chunk.data();
    const char* end = at + chunk.size();
    for (std::size_t i = 0; i < counts.size(); ++i) {
        if (i > 0 && (at == end || *at++ != ' ')) return {};
        const auto [next, problem] = std::from_chars(at, end, counts[i]);
        if (problem != std::errc() || counts[i] < 0) return {};
        at = next;
    }
    const TokenUsage usage{counts[0], counts[1], counts[2], counts[3]};
    const bool is_plausible = usage.cached_tokens <= usage.prompt_tokens &&
                              usage.reasoning_tokens <= usage.completion_tokens;
    if (at != end || !is_plausible) return {};
    return usage;
}

}  // namespace turnpike::engine
