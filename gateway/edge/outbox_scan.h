// Outbox scan: what an earlier run of the gateway left in the outbox's directory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/base/log.h"
#include "config/base/result.h"
#include "gateway/edge/outbox_entry.h"

namespace turnpike::gateway {

struct OutboxScan {
    struct Orphan {
        OpenedEntry entry;
        std::int64_t segment = 0;
    };

    std::vector<Orphan> orphans;                      // opened, never closed
    std::map<std::int64_t, std::size_t> segment_end;  // number -> bytes
    std::int64_t next_sequence = 1;
};

// Reads every segment. The last one may end in half an entry, which is cut off: it was never
// acknowledged to anybody. Anywhere else that is kCorrupt, since it means lost records.
Result<OutboxScan> scan_outbox(const std::string& dir, Log& log);

// The next record to deliver.
struct OutboxCursor {
    std::int64_t sequence = 1;
    std::int64_t segment = 0;
    std::size_t offset = 0;
};

// The start of everything when there is no file. A file that cannot be read as a cursor is taken as
// none: records are then delivered again, and the control plane ignores repetitions.
Result<OutboxCursor> load_cursor(const std::string& dir);
Status save_cursor(const std::string& dir, const OutboxCursor& cursor);

// The outbox's own identity, made on first use.
Result<std::string> load_outbox_id(const std::string& dir, WallTime now);

}  // namespace turnpike::gateway
