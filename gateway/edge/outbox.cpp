#include "gateway/edge/outbox.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "config/base/check.h"
#include "config/base/failpoint.h"

namespace turnpike::gateway {

using controlplane::UsageRecord;

namespace {

// A closed entry is as long as the opened one but for the address, the sequence and the counts.
constexpr std::size_t kClosingSlackBytes = 64;
constexpr auto kRetryPeriod = std::chrono::milliseconds(100);

Result<UniqueFd> lock_directory(const std::string& dir) {
    std::error_code problem;
    std::filesystem::create_directories(dir, problem);
    if (problem) {
        return Error{ErrorCode::kIo, "cannot create " + dir + ": " + problem.message(), {}};
    }
    const std::string path = dir + "/lock";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.is_open()) return errno_error("cannot open " + path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK) return errno_error("cannot lock " + path);
    return Error{ErrorCode::kConflict,
                 "another gateway uses the outbox " + dir + ": give each gateway its own",
                 {}};
}

}  // namespace

Outbox::Outbox(OutboxOptions options, Log& log) : options_(std::move(options)), log_(log) {}

Result<std::unique_ptr<Outbox>> Outbox::open(OutboxOptions options, const Clock& clock, Log& log) {
    auto lock = lock_directory(options.dir);
    RETURN_IF_ERROR(lock);
    std::unique_ptr<Outbox> outbox(new Outbox(std::move(options), log));
    outbox->lock_fd_ = std::move(*lock);
    RETURN_IF_ERROR(outbox->recover(clock));
    outbox->commit_thread_ = std::thread([raw = outbox.get()] { raw->run_commits(); });
    return outbox;
}

Outbox::~Outbox() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    commit_wanted_.notify_all();
    if (commit_thread_.joinable()) commit_thread_.join();
}

Status Outbox::recover(const Clock& clock) {
    auto id = load_outbox_id(options_.dir, clock.wall_now());
    RETURN_IF_ERROR(id);
    id_ = std::move(*id);
    auto scan = scan_outbox(options_.dir, log_);
    RETURN_IF_ERROR(scan);
    const auto cursor = load_cursor(options_.dir);
    RETURN_IF_ERROR(cursor);
    next_sequence_ = std::max(scan->next_sequence, cursor->sequence);
    old_segment_ends_ = std::move(scan->segment_end);
    for (OutboxScan::Orphan& orphan : scan->orphans) {
        const std::size_t bytes = encode(orphan.entry).size() + kClosingSlackBytes;
        remember_open(orphan.entry.record.request_id.value(), orphan.segment, bytes);
        orphans_.push_back(std::move(orphan.entry));
    }
    std::int64_t number = cursor->segment + 1;
    if (!old_segment_ends_.empty())
        number = std::max(number, old_segment_ends_.rbegin()->first + 1);
    return start_segment(number);
}

Status Outbox::start_segment(std::int64_t number) {
    auto segment = Segment::create(options_.dir, number, options_.ops);
    RETURN_IF_ERROR(segment);
    Status status = (*segment)->reserve(reserved_closing_bytes_);
    // The commit thread only flushes the current segment, so the old one must be on the disk now.
    if (status && segment_ != nullptr) status = segment_->sync();
    if (!status) {
        std::error_code ignored;  // it is empty; the next attempt says so when it is in the way
        std::filesystem::remove(segment_path(options_.dir, number), ignored);
        return status;
    }
    if (segment_ != nullptr) old_segment_ends_[segment_->number()] = segment_->size();
    segment_ = std::move(*segment);
    pass_failpoint(Failpoint::kSegmentStarted);
    return {};
}

std::vector<OpenedEntry> Outbox::take_orphans() {
    const std::lock_guard lock(mutex_);
    return std::exchange(orphans_, {});
}

void Outbox::remember_open(const std::string& request_id, std::int64_t segment, std::size_t bytes) {
    const bool is_new = open_.emplace(request_id, OpenRequest{segment, bytes}).second;
    CHECK(is_new);
    ++open_per_segment_[segment];
    reserved_closing_bytes_ += bytes;
}

void Outbox::forget_open(const std::string& request_id) {
    const auto entry = open_.find(request_id);
    CHECK(entry != open_.end());
    const auto count = open_per_segment_.find(entry->second.segment);
    if (--count->second == 0) open_per_segment_.erase(count);
    reserved_closing_bytes_ -= entry->second.closing_bytes;
    open_.erase(entry);
}

Status Outbox::append(std::string_view bytes) {
    RETURN_IF_ERROR(segment_->append(bytes));
    const bool was_clean = written_position_ == durable_position_;
    written_position_ += bytes.size();
    if (was_clean) commit_wanted_.notify_one();
    return {};
}

Status Outbox::append_opened(const OpenedEntry& entry) {
    const std::string bytes = encode(entry);
    const std::size_t closing_bytes = bytes.size() + kClosingSlackBytes;
    const std::lock_guard lock(mutex_);
    if (has_failed_ || segment_->is_broken()) {
        return Error{ErrorCode::kIo, "the usage outbox's disk has failed", {}};
    }
    if (segment_->size() >= options_.segment_bytes) {
        RETURN_IF_ERROR(start_segment(segment_->number() + 1));
    }
    RETURN_IF_ERROR(segment_->reserve(bytes.size() + closing_bytes + reserved_closing_bytes_));
    RETURN_IF_ERROR(append(bytes));
    remember_open(entry.record.request_id.value(), segment_->number(), closing_bytes);
    return {};
}

Result<std::uint64_t> Outbox::append_closed_locked(const UsageRecord& record) {
    RETURN_IF_ERROR(append(encode(ClosedEntry{next_sequence_, record})));
    ++next_sequence_;
    forget_open(record.request_id.value());
    return written_position_;
}

Result<std::uint64_t> Outbox::append_closed(const UsageRecord& record) {
    const std::lock_guard lock(mutex_);
    return append_closed_locked(record);
}

void Outbox::close_later(UsageRecord record) {
    const std::lock_guard lock(mutex_);
    unwritten_.push_back(std::move(record));
    commit_wanted_.notify_one();
}

void Outbox::retry_unwritten() {
    while (!unwritten_.empty() && append_closed_locked(unwritten_.back())) unwritten_.pop_back();
}

void Outbox::when_durable(std::uint64_t position, std::function<void(bool)> done) {
    bool is_durable = false;
    {
        const std::lock_guard lock(mutex_);
        is_durable = position <= durable_position_;
        if (!is_durable && !has_failed_) {
            waiters_.push_back(Waiter{position, std::move(done)});
            commit_wanted_.notify_one();
            return;
        }
    }
    done(is_durable);
}

void Outbox::run_commits() {
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
        if (!unwritten_.empty()) {
            commit_wanted_.wait_for(lock, kRetryPeriod, [this] { return is_stopping_; });
        } else {
            commit_wanted_.wait(lock, [this] {
                return is_stopping_ || !unwritten_.empty() ||
                       (written_position_ != durable_position_ && !has_failed_);
            });
        }
        // Nobody waits for a paced commit; those who wait get theirs at once.
        commit_wanted_.wait_for(lock, options_.commit_period,
                                [this] { return is_stopping_ || !waiters_.empty(); });
        commit(lock);
    }
}

void Outbox::commit(std::unique_lock<std::mutex>& lock) {
    retry_unwritten();
    const std::shared_ptr<Segment> segment = segment_;
    const std::uint64_t position = written_position_;
    const bool is_clean = position == durable_position_ || has_failed_;
    bool is_flushed = !has_failed_;
    if (!is_clean) {
        lock.unlock();
        const Status status = segment->sync();
        lock.lock();
        is_flushed = status.has_value();
        if (!is_flushed) {
            // What the kernel failed to write may be gone from its cache: trying again proves
            // nothing.
            has_failed_ = true;
            log_.error("outbox_failed", {{"reason", status.error().message}});
        } else {
            durable_position_ = std::max(durable_position_, position);
            pass_failpoint(Failpoint::kOutboxFlushed);
        }
    }
    std::vector<Waiter> due;
    std::erase_if(waiters_, [&](Waiter& waiter) {
        const bool is_due = has_failed_ || waiter.position <= durable_position_;
        if (is_due) due.push_back(std::move(waiter));
        return is_due;
    });
    closed_added_.notify_all();
    lock.unlock();
    for (const Waiter& waiter : due) waiter.done(is_flushed);
    lock.lock();
}

Status Outbox::flush() {
    std::unique_lock lock(mutex_);
    retry_unwritten();
    if (!unwritten_.empty()) {
        return Error{ErrorCode::kIo, "the usage outbox cannot be written", {}};
    }
    const std::uint64_t position = written_position_;
    const Status status = segment_->sync();
    if (status) durable_position_ = std::max(durable_position_, position);
    return status;
}

std::size_t Outbox::num_open() const {
    const std::lock_guard lock(mutex_);
    return open_.size();
}

bool Outbox::wait_for_closed(std::int64_t sequence, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    closed_added_.wait_for(lock, timeout,
                           [&] { return has_reader_stopped_ || next_sequence_ > sequence; });
    return !has_reader_stopped_ && next_sequence_ > sequence;
}

void Outbox::stop_waiting() {
    const std::lock_guard lock(mutex_);
    has_reader_stopped_ = true;
    closed_added_.notify_all();
}

std::int64_t Outbox::next_sequence() const {
    const std::lock_guard lock(mutex_);
    return next_sequence_;
}

Outbox::SegmentEnd Outbox::segment_from(std::int64_t number) const {
    const std::lock_guard lock(mutex_);
    const auto old = old_segment_ends_.lower_bound(number);
    if (old != old_segment_ends_.end()) return SegmentEnd{old->first, old->second, false};
    return SegmentEnd{segment_->number(), segment_->size(), true};
}

void Outbox::forget_before(std::int64_t number) {
    const std::lock_guard lock(mutex_);
    for (auto entry = old_segment_ends_.begin();
         entry != old_segment_ends_.end() && entry->first < number;) {
        std::error_code problem;
        const bool has_open = open_per_segment_.contains(entry->first);
        if (!has_open) std::filesystem::remove(segment_path(dir(), entry->first), problem);
        entry = has_open || problem ? std::next(entry) : old_segment_ends_.erase(entry);
    }
}

}  // namespace turnpike::gateway
