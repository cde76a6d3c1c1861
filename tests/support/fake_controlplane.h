// FakeControlplane: the internal routes that a gateway uses, over a Unix socket: snapshots by long
// poll, usage batches, which it remembers, and customers' queries, which it says back.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/net/http_server.h"
#include "controlplane/api/snapshot.h"
#include "controlplane/api/usage_record.h"

namespace turnpike::test {

class FakeControlplane {
  public:
    explicit FakeControlplane(std::string socket_path);
    ~FakeControlplane();

    std::string address() const { return "unix:" + socket_path_; }

    // The whole state from now on; its revision is counted here.
    void publish(controlplane::Snapshot state);
    // Waits until a gateway has what was published last, and asks for what comes after it; false
    // after 20 s.
    bool wait_until_known();
    // Usage batches get this status instead of being taken, until 200 is set again.
    void set_usage_status(int status);
    // What gateways are granted from now on, of every subject and all together; endless at first.
    void set_credit(NanoUsd credit);
    // Waits until the last report of a gateway's load contains `text`; false after 20 s.
    bool wait_for_load(const std::string& text);
    // Nobody answers any more, until start().
    void stop();
    void start();

    // Waits for `count` different records; fewer are returned after 20 s.
    std::vector<controlplane::UsageRecord> wait_for_records(std::size_t count);
    // Records in all batches, repetitions included.
    std::size_t num_deliveries() const;
    // Repetitions that differ from what came first.
    std::size_t num_conflicts() const;

  private:
    void handle(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply);
    void answer_query(const net::HttpRequest& request, net::HttpReply& reply);
    void take_usage(const net::HttpRequest& request, net::HttpReply& reply);
    void grant_leases(const net::HttpRequest& request, net::HttpReply& reply);
    void answer_waiting();

    const std::string socket_path_;
    SystemClock clock_;
    Log log_;
    std::unique_ptr<net::HttpServer> server_;

    mutable std::mutex mutex_;  // guards the rest
    std::condition_variable changed_;
    controlplane::Snapshot state_;
    std::vector<std::shared_ptr<net::HttpReply>> waiting_;
    std::vector<controlplane::UsageRecord> records_;
    std::size_t num_deliveries_ = 0;
    std::size_t num_conflicts_ = 0;
    int usage_status_ = 200;
    NanoUsd credit_{INT64_MAX / 4};
    std::string load_;  // the last report
};

}  // namespace turnpike::test
