// AnswerEvent: what a load test needs to know of one event of a stream, or of a whole answer, of
// any OpenAI-compatible server. Builds no tree: it is read once per token.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::gateway::client::bench {

struct AnswerEvent {
    std::string id;
    bool has_choice = false;
    bool has_text = false;    // some content, reasoning, completion text or part of a tool call
    bool has_answer = false;  // such text that is no reasoning
    std::string finish_reason;
    std::optional<TokenUsage> usage;
    std::optional<std::string> error;  // the message of an `error` instead of an answer
};

// A chunk or an answer of either route. kCorrupt: no JSON object.
Result<AnswerEvent> parse_answer_event(std::string_view json);

}  // namespace turnpike::gateway::client::bench
