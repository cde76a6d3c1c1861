// PreTokenizer: cuts text into the pieces that BPE works on: a sequence of regular-expression
// splits, each applied to every piece that the stage before left. Matches and the gaps between them
// become pieces of their own; nothing is dropped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"

namespace turnpike::engine::text {

class PreTokenizer {
  public:
    PreTokenizer();
    ~PreTokenizer();
    PreTokenizer(PreTokenizer&&) noexcept;
    PreTokenizer& operator=(PreTokenizer&&) noexcept;

    // kInvalidArgument when the pattern is not supported (see pattern.h) or PCRE2 refuses it.
    Status add_split(const std::string& pattern);

    // The pieces of `text` in order, views of it. Thread-safe. Bytes that are not UTF-8 match
    // nothing, and no match goes across them.
    std::vector<std::string_view> split(std::string_view text) const;

  private:
    class Stage;
    void split_valid(std::string_view text, std::vector<std::string_view>& pieces) const;

    std::vector<Stage> stages_;
};

}  // namespace turnpike::engine::text
