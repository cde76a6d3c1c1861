// Loop: the event loop of one gateway thread (an Asio io_context), and FdWatch: a file descriptor
// on it. All use of Asio in the gateway is behind this header.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::gateway {

// Receives the events of its watches, as the bits that each watch was given.
class EventSink {
  public:
    virtual ~EventSink() = default;
    virtual void notify(unsigned events) = 0;
};

class Loop {
  public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    // Runs until stop(). One thread.
    void run();
    // From any thread.
    void stop();
    void post(std::function<void()> work);

    // Calls `work` every `period` until the loop is destroyed. Before run(), or on the loop's
    // thread.
    void every(std::chrono::milliseconds period, std::function<void()> work);
    // Once. On the loop's thread.
    void after(std::chrono::milliseconds delay, std::function<void()> work);

  private:
    friend class FdWatch;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Owns a non-blocking descriptor. On the loop's thread only. After destruction its sink is not
// called again, whatever was armed.
class FdWatch {
  public:
    FdWatch() = default;
    // kIo when the descriptor cannot be watched.
    static Result<FdWatch> make(Loop& loop, UniqueFd fd);
    ~FdWatch();
    FdWatch(FdWatch&&) noexcept = default;
    FdWatch& operator=(FdWatch&& other) noexcept;

    bool is_open() const { return state_ != nullptr; }

    int fd() const;
    // `sink` may be null: events are then dropped.
    void set_sink(EventSink* sink, unsigned readable_event, unsigned writable_event);
    // The next time that the descriptor is readable (or at its end, or broken), the sink gets the
    // event once. Arming twice is arming once.
    void arm_read();
    void arm_write();
    void close();
    // As close(), but the descriptor lives on. Needed also where another process has the same
    // socket: its mere close would leave it in this one's epoll set.
    UniqueFd release();

  private:
    struct State;

    explicit FdWatch(std::shared_ptr<State> state) : state_(std::move(state)) {}

    std::shared_ptr<State> state_;
};

}  // namespace turnpike::gateway
