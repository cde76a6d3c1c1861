// SnapshotPoller: the long polls of GET /internal/v1/snapshot. A waiting poll is a kept reply, not
// a thread; one thread answers those whose revision has come or whose time is up.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/base/clock.h"
#include "config/net/http_server.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

class SnapshotPoller {
  public:
    // The store and the clock outlive this.
    SnapshotPoller(Store& store, const Clock& clock);
    ~SnapshotPoller();

    // Answers at once when the store is beyond `after`, or the cursor is of another store; else
    // when that comes, or after limits::kSnapshotPollTimeout. Thread-safe.
    void poll(std::string store_id, std::int64_t after, std::shared_ptr<net::HttpReply> reply);
    // Answers everybody who waits, and from then on everybody at once. Before the server stops.
    void stop();
    // Polls that wait at the moment. Thread-safe.
    std::int64_t num_waiting() const;

  private:
    struct Waiter {
        std::string store_id;
        std::int64_t after = 0;
        SteadyTime deadline;
        std::shared_ptr<net::HttpReply> reply;
    };

    void run();
    bool is_due(const Waiter& waiter) const;
    void answer(const Waiter& waiter) const;

    Store& store_;
    const Clock& clock_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Waiter> waiters_;
    bool has_news_ = false;
    bool is_stopping_ = false;
    int subscription_ = 0;
    std::thread thread_;
};

}  // namespace turnpike::controlplane
