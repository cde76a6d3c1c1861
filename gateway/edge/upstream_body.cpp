#include "gateway/edge/upstream_body.h"

#include "gateway/edge/chunk_reader.h"

namespace turnpike::gateway {

using Event = UpstreamCall::Event;

Task<std::optional<std::string>> read_body(UpstreamCall& call, std::size_t max_bytes) {
    std::string body;
    if (call.head().content_length) {
        const std::size_t length = *call.head().content_length;
        if (length > max_bytes) co_return std::nullopt;
        while (call.input().size() < length) {
            const Event event = co_await call.read_more(length - call.input().size());
            if (event != Event::kOk) co_return std::nullopt;
        }
        body = call.input().view().substr(0, length);
        call.input().consume(length);
        co_return body;
    }
    for (;;) {
        const ChunkView chunk = next_chunk(call.input().view(), max_bytes - body.size());
        if (chunk.kind == ChunkView::Kind::kNeedMore) {
            const Event event = co_await call.read_more(chunk.missing_bytes);
            if (event != Event::kOk) co_return std::nullopt;
            continue;
        }
        const bool is_end = chunk.kind == ChunkView::Kind::kEnd;
        if (!is_end && chunk.kind != ChunkView::Kind::kData) co_return std::nullopt;
        body += chunk.payload;
        call.input().consume(chunk.framed.size());
        if (is_end) co_return body;
    }
}

}  // namespace turnpike::gateway
