// Chunked coding: a chunk does not depend on what follows it, no part of one is taken for a whole,
// and what is promised to be missing is missing.
#include <algorithm>

#include "gateway/edge/chunk_reader.h"
#include "tests/fuzz/target.h"

using turnpike::gateway::ChunkView;
using turnpike::gateway::next_chunk;
using Kind = ChunkView::Kind;

namespace {

constexpr std::size_t kMaxPayloadBytes = 4096;

void check_lines(std::string_view lines) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i] == '\n') CHECK(i > 0 && lines[i - 1] == '\r');
        if (lines[i] == '\r') CHECK(i + 1 < lines.size() && lines[i + 1] == '\n');
    }
}

// A whole chunk: the same alone, and unfinished at every earlier end.
void check_whole(const ChunkView& chunk) {
    const std::string_view framed = chunk.framed;
    const ChunkView alone = next_chunk(framed, kMaxPayloadBytes);
    CHECK(alone.kind == chunk.kind && alone.framed == framed && alone.payload == chunk.payload);
    const std::size_t step = std::max<std::size_t>(1, framed.size() / 64);
    for (std::size_t end = 0; end < framed.size(); end += step) {
        const ChunkView part = next_chunk(framed.substr(0, end), kMaxPayloadBytes);
        CHECK(part.kind == Kind::kNeedMore);
        CHECK(part.missing_bytes >= 1 && part.missing_bytes <= framed.size() - end);
    }
    if (chunk.kind == Kind::kEnd) {
        CHECK(framed.ends_with("\r\n") && chunk.payload.empty());
        return check_lines(framed);
    }
    CHECK(!chunk.payload.empty() && chunk.payload.size() <= kMaxPayloadBytes);
    // The lines around the payload: nothing in them ends a line for one reader and not for another.
    const std::size_t line_bytes = framed.size() - chunk.payload.size() - 2;
    check_lines(framed.substr(0, line_bytes));
    CHECK(framed.substr(line_bytes, chunk.payload.size()) == chunk.payload);
    CHECK(framed.ends_with("\r\n"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view bytes = turnpike::fuzz::text_of(data, size);
    for (;;) {
        const ChunkView chunk = next_chunk(bytes, kMaxPayloadBytes);
        if (chunk.kind == Kind::kNeedMore) {
            CHECK(chunk.missing_bytes >= 1);
            CHECK(bytes.size() <= 256 + 2 + 4096 + kMaxPayloadBytes);
            return 0;
        }
        if (chunk.kind != Kind::kData && chunk.kind != Kind::kEnd) return 0;
        CHECK(bytes.starts_with(chunk.framed) && !chunk.framed.empty());
        check_whole(chunk);
        if (chunk.kind == Kind::kEnd) return 0;
        bytes.remove_prefix(chunk.framed.size());
    }
}
