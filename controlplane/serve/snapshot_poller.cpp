// Long polls of the snapshot.
#include "controlplane/serve/snapshot_poller.h"

#include <algorithm>
#include <utility>

#include "config/base/limits.h"
#include "controlplane/serve/router.h"

namespace turnpike::controlplane {
namespace {

// Gateways hold one poll each; beyond this somebody leaks them.
constexpr std::size_t kMaxWaiters = 1024;

}  // namespace

SnapshotPoller::SnapshotPoller(Store& store, const Clock& clock) : store_(store), clock_(clock) {
    thread_ = std::thread([this] { run(); });
    subscription_ = store_.subscribe([this] {
        {
            const std::lock_guard lock(mutex_);
            has_news_ = true;
        }
        changed_.notify_all();
    });
}

SnapshotPoller::~SnapshotPoller() {
    store_.unsubscribe(subscription_);
    stop();
    thread_.join();
}

void SnapshotPoller::stop() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    changed_.notify_all();
}

void SnapshotPoller::poll(std::string store_id,
                          std::int64_t after,
                          std::shared_ptr<net::HttpReply> reply) {
    Waiter waiter{std::move(store_id), after, clock_.steady_now() + limits::kSnapshotPollTimeout,
                  std::move(reply)};
    {
        const std::lock_guard lock(mutex_);
        if (!is_due(waiter) && !is_stopping_) {
            if (waiters_.size() < kMaxWaiters) {
                waiters_.push_back(std::move(waiter));
                // A commit between is_due() and here has set has_news_; a later one wakes us.
                changed_.notify_all();
                return;
            }
            waiter.reply->respond(
                error_response({ErrorCode::kUnavailable, "too many snapshot polls wait", {}}));
            return;
        }
    }
    answer(waiter);
}

std::int64_t SnapshotPoller::num_waiting() const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(waiters_.size());
}

bool SnapshotPoller::is_due(const Waiter& waiter) const {
    const std::int64_t revision = store_.revision();
    return waiter.store_id != store_.store_id() || waiter.after <= 0 || waiter.after != revision;
}

void SnapshotPoller::answer(const Waiter& waiter) const {
    auto text = store_.snapshot_json(waiter.store_id, waiter.after);
    waiter.reply->respond(text ? json_response(200, std::move(*text))
                               : error_response(text.error()));
}

void SnapshotPoller::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        const SteadyTime now = clock_.steady_now();
        const auto ready =
            std::partition(waiters_.begin(), waiters_.end(), [this, now](const Waiter& waiter) {
                return !is_stopping_ && !is_due(waiter) && waiter.deadline > now &&
                       !waiter.reply->is_client_gone();
            });
        std::vector<Waiter> due(std::make_move_iterator(ready),
                                std::make_move_iterator(waiters_.end()));
        waiters_.erase(ready, waiters_.end());
        has_news_ = false;
        if (!due.empty()) {
            lock.unlock();
            for (const Waiter& waiter : due) answer(waiter);
            lock.lock();
            continue;
        }
        if (is_stopping_) return;
        // New waiters are due a whole poll later, so the earliest deadline is not passed by them.
        SteadyTime next = now + limits::kSnapshotPollTimeout;
        for (const Waiter& waiter : waiters_) next = std::min(next, waiter.deadline);
        changed_.wait_for(lock, next - now, [this] { return has_news_ || is_stopping_; });
    }
}

}  // namespace turnpike::controlplane
