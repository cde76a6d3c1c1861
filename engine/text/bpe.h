// Bpe: byte-pair encoding of one pre-tokenised piece: repeatedly merge the adjacent pair of lowest
// rank, leftmost on ties (Sennrich et al. 2016, over bytes as in GPT-2). No unknown token, no
// dropout.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/ids.h"

namespace turnpike::engine::text {

class Bpe {
  public:
    // `byte_tokens[b]` is the token of the single byte b.
    explicit Bpe(const std::array<TokenId, 256>& byte_tokens);

    // Room for so many merges, so that adding them moves nothing.
    void reserve(std::size_t num_merges);

    // Ranks are given in the order of the calls, lowest first. Of a pair that comes twice the later
    // call counts, as in the `tokenizers` package.
    void add_merge(TokenId left, TokenId right, TokenId merged);

    // After the last merge: remembers each token whose bytes encode to it alone, so that a piece
    // that is one token is found at once. `bytes_of` by token id, with the same contents as long as
    // the Bpe is used.
    void index_whole_tokens(const std::vector<std::string>& bytes_of);

    // Buffers that calls of one thread share.
    struct Workspace;

    // Appends the tokens of `piece`, in O(n log n).
    void encode(std::string_view piece,
                const std::vector<std::string>& bytes_of,
                Workspace& workspace,
                std::vector<TokenId>& out) const;

  private:
    static constexpr std::int32_t kNoRank = std::numeric_limits<std::int32_t>::max();

    struct Merge {
        std::int32_t rank = kNoRank;
        TokenId merged = 0;
    };

    struct Slot {
        std::uint64_t pair = kEmpty;
        Merge merge;
    };

    // Two ids of all ones are no pair.
    static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};

    static std::uint64_t pair_key(TokenId left, TokenId right);
    Merge find(TokenId left, TokenId right) const;
    void resize(std::size_t num_slots);
    TokenId whole_token(std::string_view piece, const std::vector<std::string>& bytes_of) const;
    void encode_short(std::string_view piece, std::vector<TokenId>& out) const;
    void encode_long(std::string_view piece, Workspace& workspace, std::vector<TokenId>& out) const;

    std::array<TokenId, 256> byte_tokens_;
    std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
    std::size_t num_used_ = 0;
    std::int32_t next_rank_ = 0;
    std::vector<TokenId> whole_;  // open addressing by the bytes' hash; -1 = empty
};

struct Bpe::Workspace {
    struct Symbol {
        TokenId token = 0;
        std::int32_t previous = 0;
        std::int32_t next = 0;
        Merge merge;  // of this symbol and the next
    };

    std::vector<Symbol> symbols;      // a linked list in one vector
    std::vector<std::uint64_t> heap;  // rank in the upper half, position of the left symbol below
};

}  // namespace turnpike::engine::text
