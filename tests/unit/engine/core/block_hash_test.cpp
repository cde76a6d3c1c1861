// SipHash's published vector, and what separates two blocks.
#include "engine/core/block_hash.h"

#include <gtest/gtest.h>

#include <vector>

namespace turnpike::engine {
namespace {

TEST(BlockHash, IsSipHash24With128Bits) {
    // Reference implementation's vectors for 128 bits, key 00 .. 0f, inputs of 0 and of 15 bytes
    // 00 .. 0e.
    const BlockHasher hasher({0x0706050403020100U, 0x0f0e0d0c0b0a0908U});
    EXPECT_EQ(hasher.root(""), (BlockHash{{0xe6a825ba047f81a3U, 0x930255c71472f66dU}}));
    const char bytes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    EXPECT_EQ(hasher.root({bytes, sizeof bytes}),
              (BlockHash{{0x11a8b03399e99354U, 0xd9c3cf970fec087eU}}));
}

TEST(BlockHash, TellsApartWhateverTheBitsDependOn) {
    const BlockHasher hasher({1, 2});
    std::vector<TokenId> tokens(64, 7);
    const BlockHash root = hasher.root("org");
    const BlockHash block = hasher.next(root, tokens, 64);
    EXPECT_EQ(block, hasher.next(hasher.root("org"), tokens, 64));
    EXPECT_NE(block, hasher.next(root, tokens, 63));
    EXPECT_NE(block, hasher.next(hasher.root("other"), tokens, 64));
    EXPECT_NE(block, hasher.next(block, tokens, 64));
    tokens[63] = 8;
    EXPECT_NE(block, hasher.next(root, tokens, 64));
    EXPECT_NE(hasher.root("org"), BlockHasher({1, 3}).root("org"));
}

}  // namespace
}  // namespace turnpike::engine
