#include "gateway/edge/worker.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "config/base/limits.h"
#include "config/crypto/digest.h"
#include "gateway/edge/response_text.h"

namespace turnpike::gateway {
namespace {

constexpr int kBacklog = 1024;
constexpr int kMaxAcceptsPerWake = 64;
// Out of file descriptors: accepting again at once would spin.
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

std::uint64_t random_seed() {
    std::array<std::uint8_t, 8> bytes{};
    crypto::fill_random(bytes);
    std::uint64_t seed = 0;
    for (const std::uint8_t byte : bytes) seed = seed << 8U | byte;
    return seed;
}

using AddressList = UniqueHandle<addrinfo*, &freeaddrinfo>;

Result<AddressList> resolve(const net::NetAddress& address) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(address.port);
    const int problem = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
    if (problem == 0) return AddressList(found);
    return Error{ErrorCode::kIo,
                 "cannot resolve " + to_string(address) + ": " + ::gai_strerror(problem),
                 {}};
}

std::uint16_t port_of(int fd) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
    const bool is_v6 = storage.ss_family == AF_INET6;
    return ntohs(is_v6 ? reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port
                       : reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

Result<UniqueFd> open_listener(const net::NetAddress& address) {
    const auto found = resolve(address);
    RETURN_IF_ERROR(found);
    const addrinfo& target = **found;
    UniqueFd fd(::socket(target.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) return errno_error("cannot make a socket");
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (::bind(fd.get(), target.ai_addr, target.ai_addrlen) != 0 ||
        ::listen(fd.get(), kBacklog) != 0) {
        return errno_error("cannot listen on " + to_string(address));
    }
    return fd;
}

ThreadContext make_context(const WorkerShared& shared, Loop& loop) {
    return ThreadContext{shared.clock,
                         shared.log,
                         shared.tls,
                         shared.upstream_tls,
                         shared.outbox,
                         shared.resolver,
                         shared.leases,
                         shared.metrics,
                         shared.load,
                         shared.times,
                         shared.durability,
                         shared.controlplane,
                         loop,
                         DirectoryReader(shared.directory),
                         Authenticator(shared.peppers),
                         UpstreamPool(),
                         InFlight(),
                         Outliers(),
                         AccountReader(shared.accounts),
                         shared.default_limits,
                         std::mt19937_64(random_seed()),
                         format_http_date(shared.clock.wall_now()),
                         false,
                         false};
}

}  // namespace

class Worker::Listener final : public EventSink {
  public:
    Listener(Worker& worker, std::string name, FdWatch watch)
        : worker_(worker), name_(std::move(name)), watch_(std::move(watch)) {
        watch_.set_sink(this, 1, 0);
    }

    void notify(unsigned) override { worker_.accept_from(*this); }

    void arm() {
        if (watch_.is_open()) watch_.arm_read();
    }

    void close() { watch_.release().reset(); }

    bool is_open() const { return watch_.is_open(); }

    int fd() const { return watch_.fd(); }

    const std::string& name() const { return name_; }

  private:
    Worker& worker_;
    const std::string name_;
    FdWatch watch_;
};

Worker::Worker(const WorkerShared& shared)
    : context_(make_context(shared, loop_)),
      heartbeat_(shared.heartbeat),
      heartbeat_loop_(heartbeat_ != nullptr ? heartbeat_->add_loop() : 0) {}

Worker::~Worker() {
    stop();
}

Result<net::NetAddress> Worker::listen(const std::string& name,
                                       const net::NetAddress& address,
                                       UniqueFd listener) {
    if (!listener.is_open()) {
        auto fresh = open_listener(address);
        RETURN_IF_ERROR(fresh);
        listener = std::move(*fresh);
    }
    net::NetAddress bound = address;
    bound.port = port_of(listener.get());
    auto watch = FdWatch::make(loop_, std::move(listener));
    RETURN_IF_ERROR(watch);
    listeners_.push_back(std::make_unique<Listener>(*this, name, std::move(*watch)));
    return bound;
}

void Worker::start() {
    for (const auto& listener : listeners_) listener->arm();
    loop_.every(context_.times.sweep, [this] { sweep(); });
    thread_ = std::thread([this] { loop_.run(); });
}

void Worker::accept_from(Listener& listener) {
    for (int i = 0; i < kMaxAcceptsPerWake; ++i) {
        if (!listener.is_open() || !accept_one(listener)) return;
    }
    listener.arm();
}

bool Worker::accept_one(Listener& listener) {
    // At the bound the listener stays unarmed until a session ends.
    if (sessions_.size() >= limits::kMaxConnectionsPerThread) return false;
    UniqueFd fd(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.is_open()) {
        begin_session(std::move(fd));
        return true;
    }
    if (errno == EAGAIN) {
        listener.arm();
        return false;
    }
    const bool is_peers_doing = errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
    if (is_peers_doing) return true;
    context_.log.error("accept_failed", {{"reason", errno_error("accept").message}});
    loop_.after(kAcceptPause, [this] {
        for (const auto& each : listeners_) each->arm();
    });
    return false;
}

void Worker::begin_session(UniqueFd fd) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    auto watch = FdWatch::make(loop_, std::move(fd));
    if (!watch) return context_.log.error("accept_failed", {{"reason", watch.error().message}});
    auto stream = ClientStream::make(context_.tls, std::move(*watch));
    if (!stream) return context_.log.error("accept_failed", {{"reason", stream.error().message}});
    context_.metrics.connections.add();
    sessions_.push_front(std::make_unique<Session>(context_, std::move(*stream)));
    const auto session = sessions_.begin();
    (*session)->start([this, session] { end_session(session); });
}

void Worker::end_session(std::list<std::unique_ptr<Session>>::iterator session) {
    const bool was_full = sessions_.size() == limits::kMaxConnectionsPerThread;
    sessions_.erase(session);
    context_.metrics.connections.add(-1);
    if (was_full) {
        for (const auto& listener : listeners_) listener->arm();
    }
    report_if_idle();
}

void Worker::sweep() {
    const SteadyTime now = context_.clock.steady_now();
    context_.http_date = format_http_date(context_.clock.wall_now());
    context_.pool.sweep(now);
    for (auto session = sessions_.begin(); session != sessions_.end();) {
        // The session may end, and go, in here.
        const auto current = session++;
        (*current)->sweep(now);
    }
    if (heartbeat_ != nullptr) heartbeat_->turned(heartbeat_loop_);
}

Status Worker::share_listeners(net::NamedFds& fds) const {
    for (const auto& listener : listeners_) {
        auto fd = net::duplicate(listener->fd());
        RETURN_IF_ERROR(fd);
        fds.push_back({listener->name(), std::move(*fd)});
    }
    return {};
}

void Worker::hand_over() {
    loop_.post([this] { begin_hand_over(); });
}

void Worker::begin_hand_over() {
    context_.is_draining = true;
    for (const auto& listener : listeners_) listener->close();
    // A client may have sent a request on a connection that was idle, or only just made.
    loop_.after(context_.times.handed_over, [this] { begin_drain(); });
    report_if_idle();
}

void Worker::drain() {
    loop_.post([this] { begin_drain(); });
}

void Worker::begin_drain() {
    context_.is_draining = true;
    context_.is_refusing = true;
    for (const auto& listener : listeners_) listener->close();
    for (auto session = sessions_.begin(); session != sessions_.end();) {
        const auto current = session++;
        (*current)->drain();
    }
    report_if_idle();
}

void Worker::report_if_idle() {
    if (!context_.is_draining || !sessions_.empty()) return;
    const std::lock_guard lock(mutex_);
    is_idle_ = true;
    changed_.notify_all();
}

bool Worker::wait_until_idle(std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [this] { return is_idle_; });
}

void Worker::stop() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
    // Their descriptors belong to the loop, which still exists.
    sessions_.clear();
    context_.pool = UpstreamPool();
    listeners_.clear();
}

}  // namespace turnpike::gateway
