#include "engine/serve/choice_text.h"

#include <algorithm>
#include <utility>

namespace turnpike::engine {

using text::TokenRole;

ChoiceText::ChoiceText(const text::Tokenizer& tokenizer, const ChoiceTextOptions& options)
    : has_reasoning_(options.has_reasoning),
      is_inline_(options.reasoning_format == ReasoningFormat::kInline),
      num_unmatched_(options.min_tokens),
      content_decoder_(tokenizer),
      reasoning_decoder_(tokenizer),
      content_stop_(options.stop),
      reasoning_stop_(options.stop) {}

ChoiceText::Piece ChoiceText::push(TokenId token, TokenRole role) {
    Piece piece;
    if (is_stopped()) return piece;
    if (role == TokenRole::kContent || is_inline_) {
        piece.content = trim_content(match(content_stop_, content_decoder_.push(token)));
    } else if (role == TokenRole::kReasoning) {
        piece.reasoning = trim_reasoning(match(reasoning_stop_, reasoning_decoder_.push(token)));
    } else {
        // A tag ends the thought's text, so nothing of it needs to be held back any longer.
        std::string rest = reasoning_stop_.push(reasoning_decoder_.flush());
        if (!reasoning_stop_.has_matched()) rest += reasoning_stop_.flush();
        piece.reasoning = trim_reasoning(std::move(rest));
    }
    if (num_unmatched_ > 0) --num_unmatched_;
    return piece;
}

std::string ChoiceText::match(text::StopMatcher& matcher, std::string text) {
    return num_unmatched_ > 0 ? std::move(text) : matcher.push(text);
}

ChoiceText::Piece ChoiceText::flush() {
    Piece piece;
    if (is_stopped()) return piece;
    std::string thought = reasoning_stop_.push(reasoning_decoder_.flush());
    if (!reasoning_stop_.has_matched()) thought += reasoning_stop_.flush();
    piece.reasoning = trim_reasoning(std::move(thought));
    if (reasoning_stop_.has_matched()) return piece;
    std::string content = content_stop_.push(content_decoder_.flush());
    if (!content_stop_.has_matched()) content += content_stop_.flush();
    piece.content = trim_content(std::move(content));
    return piece;
}

// R1 puts an empty line between thought and answer; it belongs to neither.
std::string ChoiceText::trim_content(std::string text) {
    if (has_reasoning_ && !is_inline_ && !has_content_) {
        text.erase(0, std::min(text.find_first_not_of('\n'), text.size()));
    }
    has_content_ = has_content_ || !text.empty();
    return text;
}

// R1 opens a thought with one line end.
std::string ChoiceText::trim_reasoning(std::string text) {
    if (text.empty()) return text;
    if (!has_thought_ && text.front() == '\n') text.erase(0, 1);
    has_thought_ = true;
    return text;
}

}  // namespace turnpike::engine
