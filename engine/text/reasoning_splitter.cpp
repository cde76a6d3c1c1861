#include "engine/text/reasoning_splitter.h"

#include <utility>

#include "engine/text/special_tokens.h"

namespace turnpike::engine::text {

std::optional<ReasoningTokens> ReasoningTokens::of(const Tokenizer& tokenizer) {
    const auto begin = tokenizer.find_special(special::kThinkBegin);
    const auto end = tokenizer.find_special(special::kThinkEnd);
    if (!begin || !end) return {};
    return ReasoningTokens{*begin, *end,
                           tokenizer.find_special(special::kToolCallsBegin).value_or(-1)};
}

TokenRole ReasoningSplitter::push(TokenId token) {
    const bool is_first = std::exchange(is_first_, false);
    if (state_ == Start::kUndecided) {
        state_ = token == tokens_.think_begin ? Start::kReasoning : Start::kContent;
    }
    if (state_ == Start::kContent) return TokenRole::kContent;
    if (is_first && token == tokens_.think_begin) return TokenRole::kTag;
    if (token == tokens_.think_end) {
        state_ = Start::kContent;
        return TokenRole::kTag;
    }
    if (tokens_.tool_calls_begin >= 0 && token == tokens_.tool_calls_begin) {
        state_ = Start::kContent;
        return TokenRole::kContent;
    }
    return TokenRole::kReasoning;
}

}  // namespace turnpike::engine::text
