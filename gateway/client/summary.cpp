#include "gateway/client/summary.h"

#include "gateway/client/price_list.h"

namespace turnpike::gateway::client {
namespace {

std::string token_text(const TokenUsage& usage) {
    std::string text = std::to_string(usage.prompt_tokens) + " tokens in";
    if (usage.cached_tokens > 0) text += " (" + std::to_string(usage.cached_tokens) + " cached)";
    text += ", " + std::to_string(usage.completion_tokens) + " out";
    if (usage.reasoning_tokens > 0)
        text += " (" + std::to_string(usage.reasoning_tokens) + " reasoning)";
    return text;
}

std::string seconds_text(std::chrono::milliseconds duration) {
    const auto tenths = (duration.count() + 50) / 100;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

std::string summary_line(const AnswerFacts& facts,
                         const std::optional<Price>& price,
                         std::chrono::milliseconds duration) {
    std::string line = facts.usage ? token_text(*facts.usage) : "tokens unknown";
    if (facts.finish_reason == engine::FinishReason::kLength)
        line += ", cut off at the token limit";
    if (price && facts.usage) {
        if (const auto cost = cost_if_sane(*price, *facts.usage))
            line += ", " + format_usd(*cost) + " USD";
    }
    line += ", " + seconds_text(duration);
    if (!facts.request_id.empty()) line += ", request " + facts.request_id;
    return line;
}

}  // namespace turnpike::gateway::client
