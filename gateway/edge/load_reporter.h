// LoadReporter: tells the control plane every second what this gateway has in hand, and at once
// when a request begins to wait for a replica. See ops/docs/formats/load.md.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/net/address.h"
#include "config/net/http_client.h"
#include "gateway/policy/load_board.h"

namespace turnpike::gateway {

class LoadReporter {
  public:
    // All outlive it. `gateway`: the outbox's id.
    LoadReporter(LoadBoard& board,
                 std::string gateway,
                 const net::NetAddress& controlplane,
                 const Clock& clock,
                 Log& log);
    ~LoadReporter();
    LoadReporter(const LoadReporter&) = delete;
    LoadReporter& operator=(const LoadReporter&) = delete;

  private:
    void run();
    void post();

    LoadBoard& board_;
    const std::string gateway_;
    net::HttpClient client_;
    const Clock& clock_;
    Log& log_;
    bool was_failing_ = false;
    std::atomic<bool> is_stopping_{false};
    std::thread thread_;
};

// The body of a report.
std::string write_load_report(const std::string& gateway, const std::vector<LoadRow>& rows);

}  // namespace turnpike::gateway
