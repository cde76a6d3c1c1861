#include "engine/core/block_pool.h"

#include "config/base/check.h"
#include "config/base/limits.h"

namespace turnpike::engine {

BlockPool::BlockPool(std::int32_t num_blocks) : blocks_(static_cast<std::size_t>(num_blocks)) {
    for (BlockId block = num_blocks - 1; block >= 0; --block) empty_.push_back(block);
}

BlockPool::Block& BlockPool::at(BlockId block) {
    CHECK(block >= 0 && block < num_blocks());
    return blocks_[static_cast<std::size_t>(block)];
}

std::int32_t BlockPool::num_free() const {
    return static_cast<std::int32_t>(empty_.size() + reusable_.size());
}

std::optional<std::vector<BlockId>> BlockPool::allocate(std::int32_t count) {
    if (count > num_free()) return {};
    std::vector<BlockId> taken;
    taken.reserve(static_cast<std::size_t>(count));
    while (static_cast<std::int32_t>(taken.size()) < count) taken.push_back(take_one());
    return taken;
}

BlockId BlockPool::take_one() {
    BlockId id = 0;
    if (!empty_.empty()) {
        id = empty_.back();
        empty_.pop_back();
    } else {
        id = reusable_.front();
        reusable_.pop_front();
        by_hash_.erase(*at(id).hash);
        at(id).hash.reset();
    }
    at(id).num_owners = 1;
    return id;
}

void BlockPool::free(std::span<const BlockId> blocks) {
    for (auto id = blocks.rbegin(); id != blocks.rend(); ++id) {
        Block& block = at(*id);
        CHECK(block.num_owners > 0);
        if (--block.num_owners > 0) continue;
        if (block.hash) {
            block.unused = reusable_.insert(reusable_.end(), *id);
        } else {
            empty_.push_back(*id);
        }
    }
}

void BlockPool::publish(BlockId id, const BlockHash& hash) {
    Block& block = at(id);
    CHECK(block.num_owners > 0 && !block.hash);
    if (by_hash_.emplace(hash, id).second) block.hash = hash;
}

std::optional<BlockId> BlockPool::find(const BlockHash& hash) const {
    const auto found = by_hash_.find(hash);
    if (found == by_hash_.end()) return {};
    return found->second;
}

void BlockPool::share(BlockId id) {
    Block& block = at(id);
    CHECK(block.hash);
    if (block.num_owners++ == 0) reusable_.erase(block.unused);
}

std::int32_t BlockPool::blocks_for(std::int64_t num_positions) {
    return static_cast<std::int32_t>((num_positions + limits::kKvBlockTokens - 1) /
                                     limits::kKvBlockTokens);
}

}  // namespace turnpike::engine
