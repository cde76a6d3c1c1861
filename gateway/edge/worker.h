// Worker: one gateway thread: its event loop, its listening sockets, its sessions.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "config/base/heartbeat.h"
#include "config/base/result.h"
#include "config/net/address.h"
#include "config/net/handover.h"
#include "gateway/edge/session.h"
#include "gateway/edge/thread_context.h"

namespace turnpike::gateway {

// What all workers share. Everything in it is thread-safe or constant.
struct WorkerShared {
    const Clock& clock;
    Log& log;
    SSL_CTX& tls;
    SSL_CTX* upstream_tls;
    Outbox& outbox;
    MeterResolver& resolver;
    LeaseDesk& leases;
    EdgeMetrics& metrics;
    LoadBoard& load;
    const DirectoryHolder& directory;
    const crypto::Peppers& peppers;
    EdgeTimes times;
    Durability durability;
    std::string controlplane;
    AccountTable& accounts;
    controlplane::Limits default_limits;
    Heartbeat* heartbeat;  // may be null
};

class Worker {
  public:
    explicit Worker(const WorkerShared& shared);
    // Ends what still runs: see stop().
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Binds with SO_REUSEPORT, so that every worker listens on the same port. Returns the address
    // with the port that was given. An open `listener` is a listening socket of that address that
    // another process gave: it is used as it is. Before start().
    Result<net::NetAddress> listen(const std::string& name,
                                   const net::NetAddress& address,
                                   UniqueFd listener);
    void start();

    // Adds the listening sockets by their names, for another process to use as well. Between
    // start() and drain() or hand_over().
    Status share_listeners(net::NamedFds& fds) const;
    // The listening sockets are another process's now. Sessions answer what comes on their
    // connections, each with its last answer, for EdgeTimes::handed_over; then as drain(). Any
    // thread.
    void hand_over();

    // Stops to accept and lets sessions end. Any thread.
    void drain();
    // Waits until no session is left, at most `timeout`.
    bool wait_until_idle(std::chrono::milliseconds timeout) const;
    // Ends the loop and the thread; sessions that are left are cut off. Idempotent.
    void stop();

  private:
    class Listener;

    void accept_from(Listener& listener);
    // False when no more can be taken for now.
    bool accept_one(Listener& listener);
    void begin_session(UniqueFd fd);
    void end_session(std::list<std::unique_ptr<Session>>::iterator session);
    void begin_drain();
    void begin_hand_over();
    void sweep();
    void report_if_idle();

    Loop loop_;
    ThreadContext context_;
    Heartbeat* const heartbeat_;
    const std::size_t heartbeat_loop_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::list<std::unique_ptr<Session>> sessions_;
    std::thread thread_;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    bool is_idle_ = false;  // guarded by mutex_: draining, and no session left
};

}  // namespace turnpike::gateway
