// Blocks are given all or none, and never twice.
#include "engine/core/block_pool.h"

#include <gtest/gtest.h>

#include <set>

#include "config/base/limits.h"

namespace turnpike::engine {
namespace {

TEST(BlockPool, GivesAllOrNone) {
    BlockPool pool(4);
    const auto three = pool.allocate(3);
    ASSERT_TRUE(three.has_value());
    EXPECT_EQ(std::set<BlockId>(three->begin(), three->end()).size(), 3U);
    EXPECT_FALSE(pool.allocate(2).has_value());
    EXPECT_EQ(pool.num_free(), 1);
    pool.free(*three);
    EXPECT_EQ(pool.num_free(), 4);
    EXPECT_TRUE(pool.allocate(4).has_value());
}

TEST(BlockPool, CountsBlocksForPositions) {
    EXPECT_EQ(BlockPool::blocks_for(0), 0);
    EXPECT_EQ(BlockPool::blocks_for(1), 1);
    EXPECT_EQ(BlockPool::blocks_for(limits::kKvBlockTokens), 1);
    EXPECT_EQ(BlockPool::blocks_for(limits::kKvBlockTokens + 1), 2);
}

TEST(BlockPoolDeathTest, FreeingTwiceAborts) {
    BlockPool pool(2);
    const auto blocks = pool.allocate(1).value();
    pool.free(blocks);
    EXPECT_DEATH(pool.free(blocks), "is_owned_");
}

}  // namespace
}  // namespace turnpike::engine
