#include "gateway/edge/outbox_scan.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "config/crypto/identifiers.h"
#include "gateway/edge/files.h"
#include "gateway/edge/outbox_segment.h"

namespace turnpike::gateway {
namespace {

using OpenTable = std::unordered_map<std::string, OutboxScan::Orphan>;

// Returns the end of the last whole entry.
std::size_t scan_segment(std::string_view bytes,
                         std::int64_t number,
                         OpenTable& open,
                         OutboxScan& scan) {
    std::size_t offset = 0;
    while (offset < bytes.size()) {
        DecodedEntry entry = decode_entry(bytes.substr(offset));
        if (entry.num_bytes == 0) break;
        offset += entry.num_bytes;
        if (entry.opened) {
            const std::string id = entry.opened->record.request_id.value();
            open[id] = OutboxScan::Orphan{std::move(*entry.opened), number};
        } else {
            open.erase(entry.closed->record.request_id.value());
            scan.next_sequence = std::max(scan.next_sequence, entry.closed->sequence + 1);
        }
    }
    return offset;
}

Status cut_tail(const std::string& path, std::size_t end, std::size_t size, Log& log) {
    if (::truncate(path.c_str(), static_cast<off_t>(end)) != 0) {
        return errno_error("cannot cut the torn end of " + path);
    }
    log.warning("outbox_tail_cut", {{"file", path}, {"end", end}, {"bytes_cut", size - end}});
    return {};
}

}  // namespace

Result<OutboxScan> scan_outbox(const std::string& dir, Log& log) {
    const auto numbers = list_segments(dir);
    RETURN_IF_ERROR(numbers);
    OutboxScan scan;
    OpenTable open;
    for (const std::int64_t number : *numbers) {
        const std::string path = segment_path(dir, number);
        const auto bytes = read_file(path);
        RETURN_IF_ERROR(bytes);
        const std::size_t end = scan_segment(*bytes, number, open, scan);
        scan.segment_end[number] = end;
        if (end == bytes->size()) continue;
        if (number != numbers->back()) {
            return Error{ErrorCode::kCorrupt,
                         path + " is damaged at byte " + std::to_string(end) +
                             ": expected a usage entry; move the file away to start without the "
                             "records behind that byte",
                         {}};
        }
        RETURN_IF_ERROR(cut_tail(path, end, bytes->size(), log));
    }
    for (auto& [id, orphan] : open) scan.orphans.push_back(std::move(orphan));
    return scan;
}

Result<OutboxCursor> load_cursor(const std::string& dir) {
    const auto text = read_file(dir + "/cursor");
    if (!text && text.error().code == ErrorCode::kNotFound) return OutboxCursor();
    RETURN_IF_ERROR(text);
    std::istringstream fields(*text);
    std::int64_t sequence = 0;
    std::int64_t segment = 0;
    std::int64_t offset = 0;  // with sign: "-1" read as a size would be beyond every segment
    fields >> sequence >> segment >> offset;
    if (!fields || sequence < 1 || segment < 0 || offset < 0) return OutboxCursor();
    return OutboxCursor{sequence, segment, static_cast<std::size_t>(offset)};
}

Status save_cursor(const std::string& dir, const OutboxCursor& cursor) {
    // Not flushed: a cursor that is lost costs a repetition, and flushing one for every batch costs
    // more than the batch.
    return replace_file_unflushed(dir + "/cursor", std::to_string(cursor.sequence) + " " +
                                                       std::to_string(cursor.segment) + " " +
                                                       std::to_string(cursor.offset) + "\n");
}

Result<std::string> load_outbox_id(const std::string& dir, WallTime now) {
    const std::string path = dir + "/id";
    auto text = read_file(path);
    if (text) {
        const RequestId id(text->substr(0, text->find('\n')));
        if (crypto::time_of(id)) return id.value();
        return Error{ErrorCode::kCorrupt, path + " holds no ULID: remove it to make a new one", {}};
    }
    if (text.error().code != ErrorCode::kNotFound) return text.error();
    std::string id = crypto::new_request_id(now).value();
    RETURN_IF_ERROR(replace_file(path, id + "\n"));
    return id;
}

}  // namespace turnpike::gateway
