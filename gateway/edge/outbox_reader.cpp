#include "gateway/edge/outbox_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "config/base/failpoint.h"

namespace turnpike::gateway {

using controlplane::UsageBatch;

namespace {

// Much longer than any entry.
constexpr std::size_t kReadBytes = 2 * 1024 * 1024;

}  // namespace

Result<OutboxReader> OutboxReader::open(Outbox& outbox) {
    const auto cursor = load_cursor(outbox.dir());
    RETURN_IF_ERROR(cursor);
    return OutboxReader(outbox, *cursor);
}

Result<UsageBatch> OutboxReader::read_batch(std::size_t max_records) {
    UsageBatch batch;
    batch.outbox_id = outbox_.id();
    OutboxCursor at = cursor_;
    for (;;) {
        const Outbox::SegmentEnd segment = outbox_.segment_from(at.segment);
        if (segment.number != at.segment) {
            at.segment = segment.number;
            at.offset = 0;
        }
        RETURN_IF_ERROR(read_segment(segment, max_records, at, batch));
        if (segment.is_current || batch.records.size() == max_records) break;
        ++at.segment;
        at.offset = 0;
    }
    next_ = at;
    if (batch.records.empty()) {
        cursor_ = at;  // nothing but opened entries were passed over
        outbox_.forget_before(cursor_.segment);
    }
    return batch;
}

Status OutboxReader::read_segment(const Outbox::SegmentEnd& segment,
                                  std::size_t max_records,
                                  OutboxCursor& at,
                                  UsageBatch& batch) {
    while (at.offset < segment.end && batch.records.size() < max_records) {
        const auto bytes = read_bytes(at, std::min(segment.end - at.offset, kReadBytes));
        RETURN_IF_ERROR(bytes);
        std::size_t used = 0;
        while (used < bytes->size() && batch.records.size() < max_records) {
            DecodedEntry entry = decode_entry(std::string_view(*bytes).substr(used));
            if (entry.num_bytes == 0) break;
            used += entry.num_bytes;
            if (!entry.closed) continue;
            if (batch.records.empty()) batch.first_sequence = entry.closed->sequence;
            at.sequence = entry.closed->sequence + 1;
            batch.records.push_back(std::move(entry.closed->record));
        }
        if (used == 0) {
            return Error{ErrorCode::kCorrupt,
                         segment_path(outbox_.dir(), at.segment) + " is damaged at byte " +
                             std::to_string(at.offset) + ": expected a usage entry",
                         {}};
        }
        at.offset += used;
    }
    return {};
}

Result<std::string> OutboxReader::read_bytes(const OutboxCursor& at, std::size_t num_bytes) {
    const std::string path = segment_path(outbox_.dir(), at.segment);
    if (file_segment_ != at.segment) {
        file_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file_.is_open()) return errno_error("cannot open " + path);
        file_segment_ = at.segment;
    }
    std::string bytes(num_bytes, '\0');
    const ssize_t taken =
        ::pread(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at.offset));
    if (taken < 0) return errno_error("cannot read " + path);
    bytes.resize(static_cast<std::size_t>(taken));
    return bytes;
}

Status OutboxReader::acknowledge() {
    RETURN_IF_ERROR(save_cursor(outbox_.dir(), next_));
    cursor_ = next_;
    pass_failpoint(Failpoint::kCursorMoved);
    outbox_.forget_before(cursor_.segment);
    return {};
}

}  // namespace turnpike::gateway
