// BlockPool: which KV blocks of one pool are free. Blocks hold limits::kKvBlockTokens positions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/batch.h"

namespace turnpike::engine {

class BlockPool {
  public:
    explicit BlockPool(std::int32_t num_blocks);

    // `count` distinct free blocks, or none at all.
    std::optional<std::vector<BlockId>> allocate(std::int32_t count);
    // Each block must be allocated; freeing one twice is a bug and aborts.
    void free(const std::vector<BlockId>& blocks);

    std::int32_t num_free() const { return static_cast<std::int32_t>(free_.size()); }

    std::int32_t num_blocks() const { return static_cast<std::int32_t>(is_owned_.size()); }

    // Blocks for that many positions.
    static std::int32_t blocks_for(std::int64_t num_positions);

  private:
    std::vector<BlockId> free_;
    std::vector<bool> is_owned_;
};

}  // namespace turnpike::engine
