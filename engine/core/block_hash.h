// BlockHash: what a full KV block holds, as one number: the tokens of its positions, all before
// them, which of its rows are prompt rows, and whose cache it is. Blocks with equal hashes hold
// equal keys and values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/core/batch.h"

namespace turnpike::engine {

struct BlockHash {
    std::array<std::uint64_t, 2> words{};

    friend bool operator==(const BlockHash&, const BlockHash&) = default;
};

// For unordered containers: the hash is one already.
struct HashOfBlockHash {
    std::size_t operator()(const BlockHash& hash) const {
        return static_cast<std::size_t>(hash.words[0]);
    }
};

// A keyed hash with 128 bits: who does not know the key cannot make two prompts collide, and so
// cannot make the engine serve one from the other's cache. SipHash-2-4 with a 128-bit result
// (Aumasson and Bernstein 2012).
class BlockHasher {
  public:
    using Key = std::array<std::uint64_t, 2>;

    // `key`: random, of this process.
    explicit BlockHasher(Key key) : key_(key) {}

    // The hash that a chain starts from. Different salts share nothing.
    BlockHash root(std::string_view salt) const;
    // `num_prompt_rows`: how many of the block's positions, from its first, hold prompt rows. Other
    // rows come from the absorbed form of attention and have other bits.
    BlockHash next(const BlockHash& previous,
                   std::span<const TokenId> tokens,
                   std::int32_t num_prompt_rows) const;

  private:
    BlockHash hash(std::span<const std::byte> bytes) const;

    Key key_;
};

}  // namespace turnpike::engine
