// Chunked transfer coding (RFC 9112, section 7.1), one whole chunk at a time. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace turnpike::gateway {

struct ChunkView {
    enum class Kind {
        kNeedMore,  // the bytes end inside a chunk
        kData,
        kEnd,     // the last chunk, with its trailer fields if any
        kTooBig,  // the payload is over the bound
        kBad,     // no chunk
    };
    Kind kind = Kind::kNeedMore;
    std::string_view framed;        // size line to CRLF, of kData and kEnd
    std::string_view payload;       // of kData
    std::size_t missing_bytes = 1;  // of kNeedMore: at least this many must follow
};

// The chunk at the start of `bytes`. Views point into `bytes`.
ChunkView next_chunk(std::string_view bytes, std::size_t max_payload_bytes);

}  // namespace turnpike::gateway
