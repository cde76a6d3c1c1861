// PreTokenizer: cuts text into the pieces that BPE works on: a sequence of regular-expression
// splits, each applied to every piece that the stage before left. Matches and the gaps between them
// become pieces of their own; nothing is dropped.
#pragma once

#include <functional>
#include <memory>
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

    // kInvalidArgument when PCRE2 does not accept the pattern.
    Status add_split(const std::string& pattern);

    // Pieces in order; thread-safe. Bytes that are not UTF-8 match nothing and stay in the gaps.
    void split(std::string_view text, const std::function<void(std::string_view)>& on_piece) const;

  private:
    struct Stage;
    void split_from(std::size_t stage,
                    std::string_view text,
                    const std::function<void(std::string_view)>& on_piece) const;

    std::vector<Stage> stages_;
};

}  // namespace turnpike::engine::text
