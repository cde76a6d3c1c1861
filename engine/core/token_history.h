// TokenHistory: the distinct tokens of one sequence and how often each was generated, kept up to
// date token by token so that no step reads the whole sequence again.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/core/batch.h"

namespace turnpike::engine {

class TokenHistory {
  public:
    void add_prompt(std::span<const TokenId> tokens);
    void add_generated(TokenId token);

    // In order of first occurrence.
    const std::vector<SeenToken>& seen() const { return seen_; }

  private:
    SeenToken& entry(TokenId token);

    std::vector<SeenToken> seen_;
    std::unordered_map<TokenId, std::size_t> index_;
};

}  // namespace turnpike::engine
