#include "gateway/edge/connection.h"

#include <algorithm>
#include <utility>

#include "config/base/limits.h"

namespace turnpike::gateway {

using Io = IoResult::Status;

namespace {

constexpr std::size_t kMinReadBytes = 2048;
constexpr auto kLingerTime = std::chrono::seconds(2);
constexpr unsigned kStickyEvents = Connection::kDeadline | Connection::kDraining;

}  // namespace

Connection::Connection(const Clock& clock, ClientStream stream)
    : clock_(clock), stream_(std::move(stream)), input_(limits::kMaxHeadBytes) {
    stream_.watch().set_sink(this, kClientReadable, kClientWritable);
}

Connection::~Connection() {
    root_.reset();  // its frames refer to the other members
}

void Connection::run(Task<> root, std::function<void()> on_done) {
    on_done_ = std::move(on_done);
    root_ = std::move(root);
    if (root_.start()) on_done_();
}

void Connection::notify(unsigned events) {
    ready_ |= events;
    if (!sleeper_ || (ready_ & awaited_) == 0) return;
    std::exchange(sleeper_, nullptr).resume();
    if (root_.is_done()) on_done_();
}

void Connection::sweep(SteadyTime now) {
    if (now >= deadline_) notify(kDeadline);
}

void Connection::set_deadline(SteadyTime deadline) {
    deadline_ = deadline;
    ready_ &= ~static_cast<unsigned>(kDeadline);
}

void Connection::listen_to(Upstream* upstream) {
    if (upstream_ != nullptr) upstream_->watch().set_sink(nullptr, 0, 0);
    upstream_ = upstream;
    ready_ &= ~static_cast<unsigned>(kUpstreamReadable | kUpstreamWritable);
    if (upstream_ != nullptr) {
        upstream_->watch().set_sink(this, kUpstreamReadable, kUpstreamWritable);
    }
}

bool Connection::Wait::await_ready() const {
    return (connection_.ready_ & events_ & (kStickyEvents | kDurable)) != 0;
}

void Connection::Wait::await_suspend(std::coroutine_handle<> coroutine) {
    // Readiness is level-triggered when it is armed, so older news of it may be dropped.
    connection_.ready_ &= ~(events_ & ~(kStickyEvents | kDurable));
    connection_.awaited_ = events_;
    connection_.sleeper_ = coroutine;
    connection_.arm(events_);
}

unsigned Connection::Wait::await_resume() {
    connection_.awaited_ = 0;
    const unsigned happened = connection_.ready_ & events_;
    connection_.ready_ &= ~(happened & ~kStickyEvents);
    return happened;
}

void Connection::arm(unsigned events) {
    if ((events & kClientReadable) != 0) stream_.watch().arm_read();
    if ((events & kClientWritable) != 0) stream_.watch().arm_write();
    if (upstream_ == nullptr) return;
    if ((events & kUpstreamReadable) != 0) upstream_->watch().arm_read();
    if ((events & kUpstreamWritable) != 0) upstream_->watch().arm_write();
}

Task<Connection::Outcome> Connection::handshake() {
    for (;;) {
        const Io status = stream_.handshake().status;
        if (status == Io::kOk) co_return Outcome::kOk;
        const bool wants_write = status == Io::kWouldWrite;
        if (!wants_write && status != Io::kWouldRead) co_return Outcome::kClosed;
        const unsigned events = wants_write ? kClientWritable : kClientReadable;
        const unsigned happened = co_await wait(events | kDeadline | kDraining);
        if ((happened & kDeadline) != 0) co_return Outcome::kDeadline;
        if ((happened & kDraining) != 0) co_return Outcome::kDraining;
    }
}

Task<Connection::Outcome> Connection::read_more(std::size_t min_free, bool stops_for_drain) {
    for (;;) {
        const IoResult result = stream_.read(input_.prepare(std::max(min_free, kMinReadBytes)));
        if (result.status == Io::kOk) {
            input_.commit(result.num_bytes);
            co_return Outcome::kOk;
        }
        const bool wants_write = result.status == Io::kWouldWrite;
        if (!wants_write && result.status != Io::kWouldRead) co_return Outcome::kClosed;
        const unsigned events = (wants_write ? kClientWritable : kClientReadable) | kDeadline |
                                (stops_for_drain ? kDraining : 0U);
        const unsigned happened = co_await wait(events);
        if ((happened & kDeadline) != 0) co_return Outcome::kDeadline;
        if ((happened & kDraining) != 0) co_return Outcome::kDraining;
    }
}

Task<Connection::Outcome> Connection::write(std::string_view bytes,
                                            std::chrono::milliseconds stall_limit) {
    const SteadyTime outer_deadline = deadline_;
    while (!bytes.empty()) {
        const IoResult result = stream_.write(bytes);
        if (result.status == Io::kOk) {
            bytes.remove_prefix(result.num_bytes);
            continue;
        }
        const bool wants_read = result.status == Io::kWouldRead;
        if (!wants_read && result.status != Io::kWouldWrite) co_return Outcome::kClosed;
        was_slow_ = true;
        set_deadline(std::min(outer_deadline, clock_.steady_now() + stall_limit));
        const unsigned events = (wants_read ? kClientReadable : kClientWritable) | kDeadline;
        const unsigned happened = co_await wait(events);
        if ((happened & kDeadline) != 0) {
            // Moved back, so that what follows has time to finish the request's books.
            set_deadline(outer_deadline);
            co_return Outcome::kDeadline;
        }
    }
    if (deadline_ != outer_deadline) set_deadline(outer_deadline);
    co_return Outcome::kOk;
}

bool Connection::pull(std::size_t max_input_bytes) {
    while (input_.size() < max_input_bytes) {
        const IoResult result = stream_.read(input_.prepare(kMinReadBytes));
        if (result.status != Io::kOk) {
            return result.status == Io::kWouldRead || result.status == Io::kWouldWrite;
        }
        input_.commit(result.num_bytes);
    }
    return true;
}

Task<> Connection::linger() {
    stream_.shut_down();
    set_deadline(clock_.steady_now() + kLingerTime);
    while (stream_.discard()) {
        const unsigned happened = co_await wait(kClientReadable | kDeadline | kDraining);
        if ((happened & ~static_cast<unsigned>(kClientReadable)) != 0) break;
    }
}

}  // namespace turnpike::gateway
