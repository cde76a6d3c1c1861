// ChoiceText: one choice's tokens to what its client sees: text without broken UTF-8, thought apart
// from answer, nothing of a stop string or after it. The same tokens give the same text and end at
// the same token wherever they are pushed.
#pragma once

#include <string>
#include <vector>

#include "engine/api/request.h"
#include "engine/text/incremental_decoder.h"
#include "engine/text/reasoning_splitter.h"
#include "engine/text/stop_matcher.h"

namespace turnpike::engine {

struct ChoiceTextOptions {
    std::vector<std::string> stop;
    // False: no reasoning parser, every token's role is content.
    bool has_reasoning = false;
    // kInline shows thoughts and their tags in the content. kHidden splits as kSeparate does.
    ReasoningFormat reasoning_format = ReasoningFormat::kSeparate;
    // What so many tokens say belongs to no stop string.
    std::int64_t min_tokens = 0;
};

class ChoiceText {
  public:
    // `tokenizer` must outlive it.
    ChoiceText(const text::Tokenizer& tokenizer, const ChoiceTextOptions& options);

    struct Piece {
        std::string content;
        std::string reasoning;
    };

    // What the token adds; nothing once a stop string has come.
    Piece push(TokenId token, text::TokenRole role);
    // At the end of the tokens: what was held back.
    Piece flush();

    // By a stop string, in the thought or in the answer.
    bool is_stopped() const { return content_stop_.has_matched() || reasoning_stop_.has_matched(); }

  private:
    std::string match(text::StopMatcher& matcher, std::string text);
    std::string trim_content(std::string text);
    std::string trim_reasoning(std::string text);

    const bool has_reasoning_;
    const bool is_inline_;
    std::int64_t num_unmatched_;  // tokens to come that belong to no stop string
    text::IncrementalDecoder content_decoder_;
    text::IncrementalDecoder reasoning_decoder_;
    text::StopMatcher content_stop_;
    text::StopMatcher reasoning_stop_;
    bool has_content_ = false;
    bool has_thought_ = false;
};

}  // namespace turnpike::engine
