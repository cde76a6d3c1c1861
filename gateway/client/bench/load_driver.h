// LoadDriver: sends many requests at once from one thread and keeps a record of each.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "gateway/client/bench/exchange.h"
#include "gateway/client/bench/poller.h"

namespace turnpike::gateway::client::bench {

struct LoadRequest {
    std::string bytes;       // the whole HTTP request
    double arrival_s = 0.0;  // not before this; ascending
    std::optional<Leave> leave;
    std::int64_t num_intended_input_tokens = 0;
};

struct LoadOptions {
    std::optional<std::size_t> max_concurrency;  // later arrivals wait; none: no bound
    std::chrono::milliseconds silence_limit = std::chrono::minutes(10);
};

// How far a run is.
struct LoadProgress {
    double now_s = 0.0;
    std::size_t num_requests = 0;
    std::size_t num_ended = 0;
    std::size_t num_running = 0;
    std::size_t num_failed = 0;
    std::int64_t num_text_events = 0;  // of ended requests
};

class LoadDriver {
  public:
    // The references outlive the driver. `on_progress` is called a few times a second.
    LoadDriver(const net::ClientDialer& dialer,
               LoadOptions options,
               const Clock& clock,
               std::function<void(const LoadProgress&)> on_progress);
    ~LoadDriver();

    // Sends all, and returns when the last has ended: a record for each, in order. Connections are
    // kept for a later run. The latency of a request begins when it is sent, not when it arrived,
    // as vLLM has it.
    std::vector<RequestRecord> run(std::span<const LoadRequest> requests);

    // Any thread: nothing more is sent, and what is in progress ends as kAbandoned.
    void interrupt();

    bool is_interrupted() const { return is_interrupted_; }

  private:
    struct Connection;
    struct Active;

    enum class TimerKind { kLeave, kRedial };

    struct Timer {
        double at_s = 0.0;
        std::size_t index = 0;
        TimerKind kind = TimerKind::kLeave;

        friend bool operator<(const Timer& a, const Timer& b) { return a.at_s > b.at_s; }
    };

    void start_due();
    void start(std::size_t index);
    void connect(Active& active);
    void advance(Active& active);
    void end(std::size_t index);
    void drop(Connection& connection);
    void set_leave_timer(Active& active);
    void fire_timers();
    void sweep();
    void tell_progress();
    void abandon_all();
    double next_moment_s() const;

    const net::ClientDialer& dialer_;
    const LoadOptions options_;
    const Clock& clock_;
    const std::function<void(const LoadProgress&)> on_progress_;
    Poller poller_;
    std::atomic<bool> is_interrupted_{false};
    std::vector<char> buffer_;
    std::vector<std::unique_ptr<Connection>> idle_;  // the last one was used last

    // Of one run.
    std::span<const LoadRequest> requests_;
    std::optional<RunClock> run_clock_;
    std::vector<RequestRecord> records_;
    std::vector<std::unique_ptr<Active>> active_;  // by index; null: not begun, or ended
    std::priority_queue<Timer> timers_;            // the earliest first
    std::size_t num_started_ = 0;
    LoadProgress progress_;
    double next_sweep_s_ = 0.0;
    double next_progress_s_ = 0.0;
};

}  // namespace turnpike::gateway::client::bench
