#include "gateway/policy/load_board.h"

#include "config/base/check.h"

namespace turnpike::gateway {

LoadBoard::Ticket::~Ticket() {
    if (board_ != nullptr) board_->leave(*this);
}

void LoadBoard::Ticket::begin() {
    if (board_ == nullptr || !is_queued_) return;
    const std::lock_guard lock(board_->mutex_);
    Entry& entry = board_->entries_[endpoint_];
    board_->remove(*this, entry);
    ++entry.num_in_flight;
    is_queued_ = false;
}

LoadBoard::Ticket LoadBoard::enter(const EndpointId& endpoint, SteadyTime now, bool is_queued) {
    {
        const std::lock_guard lock(mutex_);
        Entry& entry = entries_[endpoint];
        if (is_queued) {
            entry.queued.insert(now);
            has_news_ = true;
        } else {
            ++entry.num_in_flight;
        }
    }
    if (is_queued) queued_.notify_all();
    return Ticket(*this, endpoint, now, is_queued);
}

void LoadBoard::remove(const Ticket& ticket, Entry& entry) {
    if (!ticket.is_queued_) {
        CHECK(entry.num_in_flight > 0);
        --entry.num_in_flight;
        return;
    }
    const auto place = entry.queued.find(ticket.since_);
    CHECK(place != entry.queued.end());
    entry.queued.erase(place);
}

void LoadBoard::leave(const Ticket& ticket) {
    const std::lock_guard lock(mutex_);
    const auto entry = entries_.find(ticket.endpoint_);
    CHECK(entry != entries_.end());
    remove(ticket, entry->second);
    if (entry->second.num_in_flight == 0 && entry->second.queued.empty()) entries_.erase(entry);
}

std::vector<LoadRow> LoadBoard::rows(SteadyTime now) const {
    std::vector<LoadRow> rows;
    const std::lock_guard lock(mutex_);
    rows.reserve(entries_.size());
    for (const auto& [endpoint, entry] : entries_) {
        LoadRow row;
        row.endpoint = endpoint;
        row.num_in_flight = entry.num_in_flight;
        row.num_queued = static_cast<std::int64_t>(entry.queued.size());
        if (!entry.queued.empty())
            row.wait =
                std::chrono::duration_cast<std::chrono::milliseconds>(now - *entry.queued.begin());
        rows.push_back(std::move(row));
    }
    return rows;
}

void LoadBoard::wait_for_queued(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    queued_.wait_for(lock, timeout, [this] { return has_news_; });
    has_news_ = false;
}

void LoadBoard::wake() {
    {
        const std::lock_guard lock(mutex_);
        has_news_ = true;
    }
    queued_.notify_all();
}

}  // namespace turnpike::gateway
