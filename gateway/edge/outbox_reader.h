// OutboxReader: reads closed records off the outbox in order, for delivery. One thread.
#pragma once

#include <string>

#include "config/base/result.h"
#include "config/base/unique_handle.h"
#include "controlplane/api/usage_record.h"
#include "gateway/edge/outbox.h"

namespace turnpike::gateway {

class OutboxReader {
  public:
    // Starts where the last acknowledged batch of an earlier run ended.
    static Result<OutboxReader> open(Outbox& outbox);

    // Up to `max_records` that follow the last acknowledged one; the same ones again until
    // acknowledge(). Empty when all are delivered. kCorrupt when the disk returns other bytes than
    // were written.
    Result<controlplane::UsageBatch> read_batch(std::size_t max_records);
    // The control plane has the last batch: it is never read again, and files that only held such
    // records go.
    Status acknowledge();

    // Every record that is closed now has been acknowledged.
    bool is_drained() const { return cursor_.sequence >= outbox_.next_sequence(); }

    std::int64_t next_sequence() const { return cursor_.sequence; }

  private:
    OutboxReader(Outbox& outbox, OutboxCursor cursor) : outbox_(outbox), cursor_(cursor) {}

    Status read_segment(const Outbox::SegmentEnd& segment,
                        std::size_t max_records,
                        OutboxCursor& at,
                        controlplane::UsageBatch& batch);
    Result<std::string> read_bytes(const OutboxCursor& at, std::size_t num_bytes);

    Outbox& outbox_;
    OutboxCursor cursor_;  // acknowledged
    OutboxCursor next_;    // behind the last batch read
    UniqueFd file_;
    std::int64_t file_segment_ = -1;
};

}  // namespace turnpike::gateway
