// LoadBoard: what a gateway has in hand of each endpoint: requests in flight, and requests that
// wait for a replica. The control plane scales by it. Requests may last milliseconds where reports
// come every second, so a report has the mean since the last one beside the moment, as Knative's
// queue-proxy reports it. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"

namespace turnpike::gateway {

struct LoadRow {
    EndpointId endpoint;
    std::int64_t num_in_flight = 0;
    double mean_in_flight = 0.0;  // over the time since the rows before
    std::int64_t num_queued = 0;
    std::chrono::milliseconds wait{0};  // of the oldest queued one
    std::int64_t num_arrived = 0;       // since the rows before, with those that have left again
};

class LoadBoard {
  public:
    // `clock` outlives it.
    explicit LoadBoard(const Clock& clock) : clock_(clock), taken_at_(clock.steady_now()) {}

    // Counts one request for as long as it lives. Must not outlive the board.
    class Ticket {
      public:
        Ticket() = default;

        Ticket(Ticket&& other) noexcept
            : board_(std::exchange(other.board_, nullptr)),
              endpoint_(std::move(other.endpoint_)),
              since_(other.since_),
              is_queued_(other.is_queued_) {}

        Ticket& operator=(Ticket&&) = delete;

        ~Ticket();

        // It has a replica now.
        void begin();

      private:
        friend class LoadBoard;

        Ticket(LoadBoard& board, EndpointId endpoint, SteadyTime since, bool is_queued)
            : board_(&board),
              endpoint_(std::move(endpoint)),
              since_(since),
              is_queued_(is_queued) {}

        LoadBoard* board_ = nullptr;
        EndpointId endpoint_;
        SteadyTime since_;
        bool is_queued_ = false;
    };

    // One that waits for a replica, or has one.
    Ticket enter(const EndpointId& endpoint, bool is_queued);

    // Endpoints that had nothing in hand since the rows before are left out. Begins the time that
    // the next rows are of.
    std::vector<LoadRow> take_rows();

    // Until a request begins to wait, at most `timeout`.
    void wait_for_queued(std::chrono::milliseconds timeout);
    // Ends that wait.
    void wake();

  private:
    struct Entry {
        std::int64_t num_in_flight = 0;
        std::multiset<SteadyTime> queued;  // since when
        std::int64_t num_arrived = 0;
        // The integral of num_in_flight from taken_at_ to counted_until.
        std::int64_t in_flight_nanos = 0;
        SteadyTime counted_until;
    };

    static void count_until(SteadyTime now, Entry& entry);
    void leave(const Ticket& ticket);
    void remove(const Ticket& ticket, Entry& entry);

    const Clock& clock_;
    std::mutex mutex_;
    std::condition_variable queued_;
    bool has_news_ = false;  // guarded by mutex_, as are the next
    SteadyTime taken_at_;
    std::unordered_map<EndpointId, Entry> entries_;
};

}  // namespace turnpike::gateway
