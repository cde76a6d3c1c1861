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
    count_until(board_->clock_.steady_now(), entry);
    ++entry.num_in_flight;
    is_queued_ = false;
}

LoadBoard::Ticket LoadBoard::enter(const EndpointId& endpoint, bool is_queued) {
    SteadyTime now;
    {
        const std::lock_guard lock(mutex_);
        now = clock_.steady_now();
        Entry& entry = entries_[endpoint];
        ++entry.num_arrived;
        count_until(now, entry);
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

void LoadBoard::count_until(SteadyTime now, Entry& entry) {
    if (entry.num_in_flight > 0)
        entry.in_flight_nanos +=
            entry.num_in_flight * std::chrono::nanoseconds(now - entry.counted_until).count();
    entry.counted_until = now;
}

void LoadBoard::remove(const Ticket& ticket, Entry& entry) {
    if (!ticket.is_queued_) {
        CHECK(entry.num_in_flight > 0);
        count_until(clock_.steady_now(), entry);
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
}

std::vector<LoadRow> LoadBoard::take_rows() {
    std::vector<LoadRow> rows;
    const std::lock_guard lock(mutex_);
    const SteadyTime now = clock_.steady_now();
    const double period = std::chrono::duration<double, std::nano>(now - taken_at_).count();
    rows.reserve(entries_.size());
    for (auto& [endpoint, entry] : entries_) {
        count_until(now, entry);
        LoadRow row;
        row.endpoint = endpoint;
        row.num_in_flight = entry.num_in_flight;
        row.mean_in_flight = period > 0.0 ? static_cast<double>(entry.in_flight_nanos) / period
                                          : static_cast<double>(entry.num_in_flight);
        row.num_queued = static_cast<std::int64_t>(entry.queued.size());
        if (!entry.queued.empty())
            row.wait =
                std::chrono::duration_cast<std::chrono::milliseconds>(now - *entry.queued.begin());
        row.num_arrived = entry.num_arrived;
        rows.push_back(std::move(row));
        entry.num_arrived = 0;
        entry.in_flight_nanos = 0;
    }
    taken_at_ = now;
    std::erase_if(entries_, [](const auto& item) {
        return item.second.num_in_flight == 0 && item.second.queued.empty();
    });
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
