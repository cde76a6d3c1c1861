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
    EXPECT_DEATH(pool.free(blocks), "num_owners");
}

BlockHash hash_of(std::uint64_t word) {
    return {{word, word}};
}

TEST(BlockPool, ContentIsFoundUntilItsRoomIsNeeded) {
    BlockPool pool(2);
    const auto blocks = pool.allocate(2).value();
    pool.publish(blocks[0], hash_of(1));
    pool.publish(blocks[1], hash_of(2));
    pool.free(blocks);
    EXPECT_EQ(pool.num_free(), 2);
    EXPECT_EQ(pool.find(hash_of(1)), blocks[0]);
    // Of blocks freed together the last goes first: a chain is used from its beginning.
    EXPECT_EQ(pool.allocate(1).value().front(), blocks[1]);
    EXPECT_FALSE(pool.find(hash_of(2)).has_value());
    EXPECT_TRUE(pool.find(hash_of(1)).has_value());
}

TEST(BlockPool, ASharedBlockIsFreeWhenItsLastOwnerLeaves) {
    BlockPool pool(1);
    const auto blocks = pool.allocate(1).value();
    pool.publish(blocks[0], hash_of(1));
    pool.share(blocks[0]);
    pool.free(blocks);
    EXPECT_EQ(pool.num_free(), 0);
    EXPECT_FALSE(pool.allocate(1).has_value());
    pool.free(blocks);
    EXPECT_EQ(pool.num_free(), 1);
    pool.share(blocks[0]);
    EXPECT_EQ(pool.num_free(), 0);
}

TEST(BlockPool, EqualContentIsKeptOnce) {
    BlockPool pool(2);
    const auto blocks = pool.allocate(2).value();
    pool.publish(blocks[0], hash_of(1));
    pool.publish(blocks[1], hash_of(1));
    EXPECT_EQ(pool.find(hash_of(1)), blocks[0]);
    pool.free(blocks);
    // The copy has no content, so it goes first.
    EXPECT_EQ(pool.allocate(1).value().front(), blocks[1]);
}

}  // namespace
}  // namespace turnpike::engine
