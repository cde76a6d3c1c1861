// Bpe: byte-pair encoding of one pre-tokenised piece: repeatedly merge the adjacent pair of lowest
// rank, leftmost on ties (Sennrich et al. 2016, over bytes as in GPT-2). No unknown token, no
// dropout.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/base/ids.h"

namespace turnpike::engine::text {

class Bpe {
  public:
    // `byte_tokens[b]` is the token of the single byte b.
    explicit Bpe(const std::array<TokenId, 256>& byte_tokens) : byte_tokens_(byte_tokens) {}

    // Ranks are given in the order of the calls, lowest first.
    void add_merge(TokenId left, TokenId right, TokenId merged);

    // Appends the tokens of `piece`, in O(n log n).
    void encode(std::string_view piece, std::vector<TokenId>& out) const;

  private:
    struct Merge {
        std::int32_t rank;
        TokenId merged;
    };

    const Merge* find(TokenId left, TokenId right) const;

    std::array<TokenId, 256> byte_tokens_;
    std::unordered_map<std::uint64_t, Merge> merges_;
};

}  // namespace turnpike::engine::text
