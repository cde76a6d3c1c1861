// AddedTokens: the entries of a tokenizer that are cut out of the text before pre-tokenisation, and
// the names of those that DeepSeek-R1's prompts and answers are built of.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/base/ids.h"

namespace turnpike::engine::text {

// The bars are U+FF5C, the blocks U+2581.
namespace special {
inline constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kPad = "<｜▁pad▁｜>";
inline constexpr std::string_view kUser = "<｜User｜>";
inline constexpr std::string_view kAssistant = "<｜Assistant｜>";
inline constexpr std::string_view kThinkBegin = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";
inline constexpr std::string_view kToolCallsBegin = "<｜tool▁calls▁begin｜>";
inline constexpr std::string_view kToolCallsEnd = "<｜tool▁calls▁end｜>";
inline constexpr std::string_view kToolCallBegin = "<｜tool▁call▁begin｜>";
inline constexpr std::string_view kToolCallEnd = "<｜tool▁call▁end｜>";
inline constexpr std::string_view kToolOutputsBegin = "<｜tool▁outputs▁begin｜>";
inline constexpr std::string_view kToolOutputsEnd = "<｜tool▁outputs▁end｜>";
inline constexpr std::string_view kToolOutputBegin = "<｜tool▁output▁begin｜>";
inline constexpr std::string_view kToolOutputEnd = "<｜tool▁output▁end｜>";
inline constexpr std::string_view kToolSep = "<｜tool▁sep｜>";
}  // namespace special

class AddedTokens {
  public:
    void add(std::string text, TokenId id);

    std::optional<TokenId> find(std::string_view text) const;

    // The leftmost added token at or after `from`, the longest of those that begin there.
    struct Match {
        std::size_t begin = 0;
        std::size_t length = 0;
        TokenId token = 0;
    };

    std::optional<Match> next(std::string_view text, std::size_t from) const;

  private:
    std::unordered_map<std::string, TokenId> ids_;
    // By first byte, longest first.
    std::vector<std::vector<std::string>> by_first_byte_ =
        std::vector<std::vector<std::string>>(256);
};

}  // namespace turnpike::engine::text
