// ReasoningSplitter: which of a model's tokens are thought and which are answer. Driven by token
// ids, since both of R1's tags are single tokens; text that merely looks like a tag stays text.
#pragma once

#include <optional>

#include "engine/text/tokenizer.h"

namespace turnpike::engine::text {

enum class TokenRole {
    kReasoning,
    kContent,
    kTag,  // a think tag: counted as reasoning, shown to nobody but with inline reasoning
};

struct ReasoningTokens {
    TokenId think_begin = -1;
    TokenId think_end = -1;
    TokenId tool_calls_begin = -1;  // ends an unclosed thought; -1 when the tokenizer has none

    // Empty when the tokenizer lacks the think tags.
    static std::optional<ReasoningTokens> of(const Tokenizer& tokenizer);
};

class ReasoningSplitter {
  public:
    enum class Start {
        kContent,    // no reasoning parser: everything is content
        kReasoning,  // R1: thinks with or without an opening tag
        kUndecided,  // after tool results: thinks only when the first token opens a thought
    };

    ReasoningSplitter(ReasoningTokens tokens, Start start) : tokens_(tokens), state_(start) {}

    TokenRole push(TokenId token);

    bool is_reasoning() const { return state_ == Start::kReasoning; }

  private:
    ReasoningTokens tokens_;
    Start state_;
    bool is_first_ = true;
};

}  // namespace turnpike::engine::text
