// Outbox: the gateway's durable log of usage records. Follows ops/docs/formats/usage.md. An entry
// is in the kernel when append returns, so it survives kill -9; a commit thread flushes it to the
// disk within limits::kOutboxCommitPeriod. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "config/base/limits.h"
#include "config/base/log.h"
#include "config/base/result.h"
#include "config/base/unique_handle.h"
#include "gateway/edge/outbox_entry.h"
#include "gateway/edge/outbox_scan.h"
#include "gateway/edge/outbox_segment.h"

namespace turnpike::gateway {

struct OutboxOptions {
    std::string dir;
    std::size_t segment_bytes = limits::kOutboxSegmentBytes;
    std::chrono::milliseconds commit_period = limits::kOutboxCommitPeriod;
    FileOps ops = FileOps::system();
};

class Outbox {
  public:
    // Creates the directory, takes its lock (kConflict: another gateway uses it), reads what an
    // earlier run left, and starts a new segment and the commit thread.
    static Result<std::unique_ptr<Outbox>> open(OutboxOptions options,
                                                const Clock& clock,
                                                Log& log);
    ~Outbox();
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    const std::string& id() const { return id_; }

    // Requests that an earlier run dispatched and never closed. Once.
    std::vector<OpenedEntry> take_orphans();

    // Before dispatch. Also takes the disk space that closing will need. An error means: do not
    // dispatch.
    Status append_opened(const OpenedEntry& entry);
    // The position to wait for with when_durable(). The request must be open.
    Result<std::uint64_t> append_closed(const controlplane::UsageRecord& record);
    // After append_closed() failed: keeps the record in memory and writes it as soon as possible.
    void close_later(controlplane::UsageRecord record);
    // Calls `done` from the commit thread once everything up to `position` is on the disk (true),
    // or when flushing failed (false).
    void when_durable(std::uint64_t position, std::function<void(bool)> done);
    // Writes and flushes what there is.
    Status flush();

    std::size_t num_open() const;

    // The delivery's side; see OutboxReader.
    // Waits until the record numbered `sequence` is closed; false after `timeout` or
    // stop_waiting().
    bool wait_for_closed(std::int64_t sequence, std::chrono::milliseconds timeout);
    void stop_waiting();
    std::int64_t next_sequence() const;

    struct SegmentEnd {
        std::int64_t number = 0;
        std::size_t end = 0;
        bool is_current = false;
    };

    // The first segment numbered `number` or more.
    SegmentEnd segment_from(std::int64_t number) const;
    // Deletes the segments before `number` that hold no open request.
    void forget_before(std::int64_t number);

    const std::string& dir() const { return options_.dir; }

  private:
    struct OpenRequest {
        std::int64_t segment = 0;
        std::size_t closing_bytes = 0;  // reserved for its closed entry
    };

    struct Waiter {
        std::uint64_t position = 0;
        std::function<void(bool)> done;
    };

    Outbox(OutboxOptions options, Log& log);
    Status recover(const Clock& clock);
    Status start_segment(std::int64_t number);
    Status append(std::string_view bytes);
    Result<std::uint64_t> append_closed_locked(const controlplane::UsageRecord& record);
    void remember_open(const std::string& request_id, std::int64_t segment, std::size_t bytes);
    void forget_open(const std::string& request_id);
    void run_commits();
    void commit(std::unique_lock<std::mutex>& lock);
    void retry_unwritten();

    OutboxOptions options_;
    Log& log_;
    std::string id_;
    UniqueFd lock_fd_;

    mutable std::mutex mutex_;  // guards the rest
    std::condition_variable commit_wanted_;
    std::condition_variable closed_added_;
    std::shared_ptr<Segment> segment_;
    std::map<std::int64_t, std::size_t> old_segment_ends_;
    std::map<std::int64_t, int> open_per_segment_;
    std::unordered_map<std::string, OpenRequest> open_;
    std::size_t reserved_closing_bytes_ = 0;
    std::vector<OpenedEntry> orphans_;
    std::vector<controlplane::UsageRecord> unwritten_;
    std::vector<Waiter> waiters_;
    std::int64_t next_sequence_ = 1;
    std::uint64_t written_position_ = 0;
    std::uint64_t durable_position_ = 0;
    bool has_failed_ = false;  // the disk lost a flush: nothing more is admitted
    bool is_stopping_ = false;
    bool has_reader_stopped_ = false;
    std::thread commit_thread_;
};

}  // namespace turnpike::gateway
