// Connection: the client's side of one session: waiting, reading, writing, and the deadline. All of
// a connection happens on its loop's thread; one coroutine runs on it and sleeps in wait() only.
#pragma once

#include <coroutine>
#include <functional>
#include <string_view>

#include "config/base/clock.h"
#include "gateway/edge/byte_buffer.h"
#include "gateway/edge/client_stream.h"
#include "gateway/edge/loop.h"
#include "gateway/edge/task.h"
#include "gateway/edge/upstream.h"

namespace turnpike::gateway {

class Connection final : public EventSink {
  public:
    // What wait() can wait for.
    enum Event : unsigned {
        kClientReadable = 1U << 0U,
        kClientWritable = 1U << 1U,
        kUpstreamReadable = 1U << 2U,
        kUpstreamWritable = 1U << 3U,
        kDeadline = 1U << 4U,   // stays until the deadline is moved
        kDraining = 1U << 5U,   // stays
        kDurable = 1U << 6U,    // see UsageEntry
        kCredit = 1U << 7U,     // see CreditGuard
        kDirectory = 1U << 8U,  // see ColdWait
    };

    Connection(const Clock& clock, ClientStream stream);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Runs `root`; `on_done` is called once when it has finished, as the last thing, and may
    // destroy this object.
    void run(Task<> root, std::function<void()> on_done);
    void notify(unsigned events) override;
    // Called about once per second: lets the deadline fire.
    void sweep(SteadyTime now);

    class Wait {
      public:
        Wait(Connection& connection, unsigned events) : connection_(connection), events_(events) {}

        bool await_ready() const;
        void await_suspend(std::coroutine_handle<> coroutine);
        unsigned await_resume();

      private:
        Connection& connection_;
        unsigned events_;
    };

    // Sleeps until one of `events` happens and returns those that did. Tells only that trying again
    // may help.
    Wait wait(unsigned events) { return Wait(*this, events); }

    enum class Outcome { kOk, kClosed, kDeadline, kDraining };

    Task<Outcome> handshake();
    // At least one more byte of input. kDraining only when `stops_for_drain`.
    Task<Outcome> read_more(std::size_t min_free, bool stops_for_drain);
    // All of `bytes`. A client that takes nothing for `stall_limit` counts as closed.
    Task<Outcome> write(std::string_view bytes, std::chrono::milliseconds stall_limit);
    // Takes what the client has sent meanwhile, until the input holds `max_input_bytes`. False once
    // it has sent FIN or reset.
    bool pull(std::size_t max_input_bytes);
    // FIN, then whatever the client still sends is thrown away for a while, since closing a socket
    // with unread bytes resets it and may destroy our last answer.
    Task<> linger();

    void shut_down() { stream_.shut_down(); }

    void set_deadline(SteadyTime deadline);

    SteadyTime deadline() const { return deadline_; }

    ByteBuffer& input() { return input_; }

    // The upstream that wait() listens to; null for none.
    void listen_to(Upstream* upstream);

    // A write had to wait for the client since the last call.
    bool take_was_slow() { return std::exchange(was_slow_, false); }

    const Clock& clock() const { return clock_; }

  private:
    void arm(unsigned events);

    const Clock& clock_;
    ClientStream stream_;
    ByteBuffer input_;
    Upstream* upstream_ = nullptr;
    Task<> root_;
    std::function<void()> on_done_;
    std::coroutine_handle<> sleeper_;
    unsigned awaited_ = 0;
    unsigned ready_ = 0;
    SteadyTime deadline_ = SteadyTime::max();
    bool was_slow_ = false;
};

}  // namespace turnpike::gateway
