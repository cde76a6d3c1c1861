#include "engine/core/block_pool.h"

#include "config/base/check.h"
#include "config/base/limits.h"

namespace turnpike::engine {

BlockPool::BlockPool(std::int32_t num_blocks) : is_owned_(static_cast<std::size_t>(num_blocks)) {
    for (BlockId block = num_blocks - 1; block >= 0; --block) free_.push_back(block);
}

std::optional<std::vector<BlockId>> BlockPool::allocate(std::int32_t count) {
    if (count > num_free()) return {};
    std::vector<BlockId> blocks(free_.end() - count, free_.end());
    free_.resize(free_.size() - static_cast<std::size_t>(count));
    for (const BlockId block : blocks) is_owned_[static_cast<std::size_t>(block)] = true;
    return blocks;
}

void BlockPool::free(const std::vector<BlockId>& blocks) {
    for (const BlockId block : blocks) {
        CHECK(block >= 0 && block < num_blocks() && is_owned_[static_cast<std::size_t>(block)]);
        is_owned_[static_cast<std::size_t>(block)] = false;
        free_.push_back(block);
    }
}

std::int32_t BlockPool::blocks_for(std::int64_t num_positions) {
    return static_cast<std::int32_t>((num_positions + limits::kKvBlockTokens - 1) /
                                     limits::kKvBlockTokens);
}

}  // namespace turnpike::engine
