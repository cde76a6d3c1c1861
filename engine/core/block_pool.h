// BlockPool: the KV blocks of one pool: which are free, how many owners each has, and which hold
// content that another sequence may use. Blocks hold limits::kKvBlockTokens positions.
//
// A block with content stays findable after its last owner left, until its room is needed: the
// longest unused goes first.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/core/batch.h"
#include "engine/core/block_hash.h"

namespace turnpike::engine {

class BlockPool {
  public:
    explicit BlockPool(std::int32_t num_blocks);

    // `count` distinct blocks without owner or content, each owned once from now on; or none at
    // all.
    std::optional<std::vector<BlockId>> allocate(std::int32_t count);
    // One owner less for each. A block without an owner is a bug and aborts. Of blocks freed
    // together the last ones lose their content first.
    void free(std::span<const BlockId> blocks);

    // The block is full and holds what `hash` says. Its owner must not write it any more. Nothing
    // changes when another block holds the same.
    void publish(BlockId block, const BlockHash& hash);
    // The block that holds it.
    std::optional<BlockId> find(const BlockHash& hash) const;
    // One owner more of a block that find() returned.
    void share(BlockId block);

    // Blocks without owner, those with content included.
    std::int32_t num_free() const;

    std::int32_t num_blocks() const { return static_cast<std::int32_t>(blocks_.size()); }

    // Blocks for that many positions.
    static std::int32_t blocks_for(std::int64_t num_positions);

  private:
    struct Block {
        std::int32_t num_owners = 0;
        std::optional<BlockHash> hash;
        std::list<BlockId>::iterator unused;  // valid while it has content and no owner
    };

    Block& at(BlockId block);
    BlockId take_one();

    std::vector<Block> blocks_;
    std::vector<BlockId> empty_;   // no owner, no content
    std::list<BlockId> reusable_;  // no owner, content; the longest unused first
    std::unordered_map<BlockHash, BlockId, HashOfBlockHash> by_hash_;
};

}  // namespace turnpike::engine
