// Chunks, at every split of their bytes.
#include "gateway/edge/chunk_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace turnpike::gateway {
namespace {

using Kind = ChunkView::Kind;

TEST(ChunkReader, WholeChunks) {
    const std::string bytes = "5\r\nhello\r\nA;ext=1\r\n0123456789\r\n0\r\nx: y\r\n\r\nrest";
    const ChunkView first = next_chunk(bytes, 100);
    EXPECT_EQ(first.kind, Kind::kData);
    EXPECT_EQ(first.payload, "hello");
    EXPECT_EQ(first.framed, "5\r\nhello\r\n");
    const std::string_view after_first = std::string_view(bytes).substr(first.framed.size());
    const ChunkView second = next_chunk(after_first, 100);
    EXPECT_EQ(second.payload, "0123456789");
    const ChunkView end = next_chunk(after_first.substr(second.framed.size()), 100);
    EXPECT_EQ(end.kind, Kind::kEnd);
    EXPECT_EQ(end.framed, "0\r\nx: y\r\n\r\n");
}

TEST(ChunkReader, EveryPrefixWaitsForMore) {
    for (const std::string bytes : {"1f;a=b\r\n0123456789012345678901234567890\r\n", "0\r\n\r\n",
                                    "0\r\nname: value\r\n\r\n"}) {
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            const ChunkView view = next_chunk(std::string_view(bytes).substr(0, length), 100);
            EXPECT_EQ(view.kind, Kind::kNeedMore) << length;
            EXPECT_LE(length + view.missing_bytes, bytes.size());
        }
        EXPECT_NE(next_chunk(bytes, 100).kind, Kind::kNeedMore);
    }
}

TEST(ChunkReader, RefusesWhatIsNoChunk) {
    for (const std::string bytes :
         {"\r\n", "x\r\n", "-1\r\n", "5 5\r\nhello\r\n", "5 \r\nhello\r\n", "5\r\nhello--",
          "5x\r\nhello\r\n", "0x5\r\nhello\r\n",
          // A bare line end, which another reader may take for the end of the line.
          "5;a\nb\r\nhello\r\n", "5;a\rb\r\nhello\r\n", "0;a\nb\r\n\r\n", "0\r\na: b\nc\r\n\r\n"}) {
        const Kind kind = next_chunk(bytes, 100).kind;
        EXPECT_EQ(kind, Kind::kBad) << bytes;
    }
    EXPECT_EQ(next_chunk(std::string(300, '1'), 100).kind, Kind::kBad);
    EXPECT_EQ(next_chunk("0\r\n" + std::string(5000, 'x'), 100).kind, Kind::kBad);
}

TEST(ChunkReader, BoundsThePayload) {
    EXPECT_EQ(next_chunk("64\r\n", 100).kind, Kind::kNeedMore);
    EXPECT_EQ(next_chunk("65\r\n", 100).kind, Kind::kTooBig);
    EXPECT_EQ(next_chunk("ffffffffffffffff\r\n", 100).kind, Kind::kTooBig);
    EXPECT_EQ(next_chunk("10000000000000000\r\n", 100).kind, Kind::kTooBig);
}

}  // namespace
}  // namespace turnpike::gateway
