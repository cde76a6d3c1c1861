#include "gateway/edge/chunk_reader.h"

#include <charconv>

namespace turnpike::gateway {
namespace {

using Kind = ChunkView::Kind;

// A size is at most 16 digits; extensions are allowed and ignored.
constexpr std::size_t kMaxSizeLineBytes = 256;
constexpr std::size_t kMaxTrailerBytes = 4096;

ChunkView only(Kind kind) {
    ChunkView view;
    view.kind = kind;
    return view;
}

// A bare CR or LF ends a line for some readers: what two could read differently is no chunk.
bool has_line_end(std::string_view line) {
    return line.find_first_of("\r\n") != std::string_view::npos;
}

// After "0\r\n": trailer fields, if any, and an empty line.
ChunkView read_end(std::string_view bytes, std::size_t line_bytes) {
    std::size_t at = line_bytes;
    for (;;) {
        const std::size_t line_end = bytes.find("\r\n", at);
        if (line_end == std::string_view::npos) {
            return only(bytes.size() - line_bytes > kMaxTrailerBytes ? Kind::kBad
                                                                     : Kind::kNeedMore);
        }
        const bool is_empty_line = line_end == at;
        if (has_line_end(bytes.substr(at, line_end - at))) return only(Kind::kBad);
        at = line_end + 2;
        if (at - line_bytes > kMaxTrailerBytes) return only(Kind::kBad);
        if (is_empty_line) break;
    }
    ChunkView view = only(Kind::kEnd);
    view.framed = bytes.substr(0, at);
    return view;
}

}  // namespace

ChunkView next_chunk(std::string_view bytes, std::size_t max_payload_bytes) {
    const std::size_t line_end = bytes.substr(0, kMaxSizeLineBytes).find("\r\n");
    if (line_end == std::string_view::npos) {
        return only(bytes.size() >= kMaxSizeLineBytes ? Kind::kBad : Kind::kNeedMore);
    }
    if (has_line_end(bytes.substr(0, line_end))) return only(Kind::kBad);
    std::size_t size = 0;
    const char* end = bytes.data() + line_end;
    const auto [rest, problem] = std::from_chars(bytes.data(), end, size, 16);
    // Spaces may only stand ahead of an extension (RFC 9112, section 7.1.1).
    const char* after = rest;
    while (after != end && (*after == ' ' || *after == '\t')) ++after;
    const bool has_size =
        problem == std::errc() && (rest == end || (after != end && *after == ';'));
    if (problem == std::errc::result_out_of_range) return only(Kind::kTooBig);
    if (!has_size) return only(Kind::kBad);
    const std::size_t line_bytes = line_end + 2;
    if (size == 0) return read_end(bytes, line_bytes);
    if (size > max_payload_bytes) return only(Kind::kTooBig);
    const std::size_t framed_bytes = line_bytes + size + 2;
    if (bytes.size() < framed_bytes) {
        ChunkView view;
        view.missing_bytes = framed_bytes - bytes.size();
        return view;
    }
    if (bytes.substr(line_bytes + size, 2) != "\r\n") return only(Kind::kBad);
    ChunkView view = only(Kind::kData);
    view.framed = bytes.substr(0, framed_bytes);
    view.payload = bytes.substr(line_bytes, size);
    return view;
}

}  // namespace turnpike::gateway
