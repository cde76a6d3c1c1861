#include "gateway/edge/loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

namespace turnpike::gateway {

namespace asio = boost::asio;

struct Loop::Impl {
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {}

Loop::~Loop() = default;

void Loop::run() {
    impl_->io.run();
}

void Loop::stop() {
    impl_->io.stop();
}

void Loop::post(std::function<void()> work) {
    asio::post(impl_->io, std::move(work));
}

void Loop::after(std::chrono::milliseconds delay, std::function<void()> work) {
    auto timer = std::make_shared<asio::steady_timer>(impl_->io, delay);
    timer->async_wait([timer, work = std::move(work)](boost::system::error_code error) {
        if (!error) work();
    });
}

void Loop::every(std::chrono::milliseconds period, std::function<void()> work) {
    after(period, [this, period, work = std::move(work)] {
        work();
        every(period, work);
    });
}

struct FdWatch::State {
    explicit State(asio::io_context& io) : descriptor(io) {}

    asio::posix::basic_stream_descriptor<asio::io_context::executor_type> descriptor;
    EventSink* sink = nullptr;
    unsigned readable_event = 0;
    unsigned writable_event = 0;
    bool is_read_armed = false;
    bool is_write_armed = false;
};

Result<FdWatch> FdWatch::make(Loop& loop, UniqueFd fd) {
    auto state = std::make_shared<State>(loop.impl_->io);
    boost::system::error_code error;
    state->descriptor.assign(fd.get(), error);
    if (error) {
        return Error{ErrorCode::kIo, "cannot watch a file descriptor: " + error.message(), {}};
    }
    fd.release();
    return FdWatch(std::move(state));
}

FdWatch::~FdWatch() {
    close();
}

FdWatch& FdWatch::operator=(FdWatch&& other) noexcept {
    if (this != &other) {
        close();
        state_ = std::move(other.state_);
    }
    return *this;
}

int FdWatch::fd() const {
    return state_->descriptor.native_handle();
}

void FdWatch::set_sink(EventSink* sink, unsigned readable_event, unsigned writable_event) {
    state_->sink = sink;
    state_->readable_event = readable_event;
    state_->writable_event = writable_event;
}

// The handlers own the state, so a watch may go while one of them is queued.
void FdWatch::arm_read() {
    if (std::exchange(state_->is_read_armed, true)) return;
    state_->descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                                  [state = state_](boost::system::error_code error) {
                                      state->is_read_armed = false;
                                      if (error || state->sink == nullptr) return;
                                      state->sink->notify(state->readable_event);
                                  });
}

void FdWatch::arm_write() {
    if (std::exchange(state_->is_write_armed, true)) return;
    state_->descriptor.async_wait(asio::posix::descriptor_base::wait_write,
                                  [state = state_](boost::system::error_code error) {
                                      state->is_write_armed = false;
                                      if (error || state->sink == nullptr) return;
                                      state->sink->notify(state->writable_event);
                                  });
}

void FdWatch::close() {
    if (state_ == nullptr) return;
    state_->sink = nullptr;
    boost::system::error_code ignored;  // close() of a socket loses nothing that we could repair
    state_->descriptor.close(ignored);
    state_.reset();
}

UniqueFd FdWatch::release() {
    if (state_ == nullptr) return UniqueFd();
    state_->sink = nullptr;
    UniqueFd fd(state_->descriptor.release());
    state_.reset();
    return fd;
}

}  // namespace turnpike::gateway
