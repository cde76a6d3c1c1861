#include "config/net/handover.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>

#include "config/base/check.h"

namespace turnpike::net {
namespace {

using std::chrono::milliseconds;

// The form of the packets; another one is refused by name.
constexpr std::string_view kGreeting = "turnpike-handover 1";
constexpr std::string_view kEnd = "end";
constexpr std::string_view kReady = "ready";
constexpr std::string_view kYours = "yours";
constexpr std::string_view kServing = "serving";
constexpr std::string_view kFdPrefix = "fd ";
constexpr std::size_t kMaxPacketBytes = 512;
// A successor may wait for its first answers from the control plane, or migrate a database.
constexpr milliseconds kPhaseLimit{120'000};
// What a running process gives is at hand.
constexpr milliseconds kShareLimit{10'000};

struct Packet {
    std::string text;
    UniqueFd fd;
};

Error broken(const std::string& what) {
    return Error{ErrorCode::kIo, "handover: " + what, {}};
}

Status send_packet(int socket, std::string_view text, int fd = -1) {
    iovec piece{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (fd >= 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return errno_error("handover: cannot send");
    return {};
}

// kUnavailable: `stop` became readable, or the other side has gone.
Result<Packet> receive_packet(int socket, milliseconds limit, int stop = -1) {
    std::array<pollfd, 2> waiting{pollfd{socket, POLLIN, 0}, pollfd{stop, POLLIN, 0}};
    const int num_ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(limit.count()));
    if (num_ready < 0) return errno_error("handover: cannot wait");
    if (num_ready == 0) return Error{ErrorCode::kTimeout, "handover: no answer in time", {}};
    // What has been said counts, also when this process is to stop.
    if (waiting[0].revents == 0) return Error{ErrorCode::kUnavailable, "handover: stopped", {}};
    std::array<char, kMaxPacketBytes> bytes{};
    iovec piece{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t taken = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    const bool has_gone = taken == 0 || (taken < 0 && errno == ECONNRESET);
    if (!has_gone && taken < 0) return errno_error("handover: cannot receive");
    if (has_gone) return Error{ErrorCode::kUnavailable, "handover: the other process has gone", {}};
    Packet packet;
    packet.text.assign(bytes.data(), static_cast<std::size_t>(taken));
    const cmsghdr* const header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
        packet.fd = UniqueFd(fd);
    }
    return packet;
}

Status expect(int socket, std::string_view text, int stop = -1) {
    const auto packet = receive_packet(socket, kPhaseLimit, stop);
    RETURN_IF_ERROR(packet);
    if (packet->text == text) return {};
    return broken("expected '" + std::string(text) + "', found '" + excerpt(packet->text) + "'");
}

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return invalid_argument("expected a path of at most " +
                                std::to_string(sizeof address.sun_path - 1) + " bytes, found " +
                                std::to_string(path.size()));
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

// Closed when nobody answers.
Result<UniqueFd> connect_to(const std::string& path) {
    const auto address = address_of(path);
    RETURN_IF_ERROR(address);
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) return errno_error("handover: cannot make a socket");
    const auto* const generic = reinterpret_cast<const sockaddr*>(&*address);
    if (::connect(fd.get(), generic, sizeof *address) == 0) return fd;
    if (errno == ENOENT || errno == ECONNREFUSED) return UniqueFd();
    return errno_error("cannot connect to " + path);
}

Result<UniqueFd> listen_at(const std::string& path) {
    const auto running = connect_to(path);
    RETURN_IF_ERROR(running);
    if (running->is_open()) {
        return Error{ErrorCode::kConflict, "another process answers on " + path, {}};
    }
    const auto address = address_of(path);
    RETURN_IF_ERROR(address);

    struct stat info {};

    if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) return errno_error("handover: cannot make a socket");
    const auto* const generic = reinterpret_cast<const sockaddr*>(&*address);
    // Before listen() nobody can connect, so the mode holds from the first moment on.
    if (::bind(fd.get(), generic, sizeof *address) != 0 || ::chmod(path.c_str(), 0600) != 0 ||
        ::listen(fd.get(), 4) != 0) {
        return errno_error("cannot listen on " + path);
    }
    return fd;
}

class Server final : public HandoverServer {
  public:
    Server(std::string path, UniqueFd listener, UniqueFd stop, HandoverHooks hooks, Log& log)
        : path_(std::move(path)),
          listener_(std::move(listener)),
          stop_(std::move(stop)),
          hooks_(std::move(hooks)),
          log_(log),
          thread_([this] { run(); }) {}

    ~Server() override {
        const std::uint64_t one = 1;
        CHECK(::write(stop_.get(), &one, sizeof one) == sizeof one);
        thread_.join();
        // Before the close: from then on the path may be another's.
        if (!is_handed_over_) ::unlink(path_.c_str());
    }

  private:
    void run() {
        while (!is_handed_over_) {
            std::array<pollfd, 2> waiting{pollfd{listener_.get(), POLLIN, 0},
                                          pollfd{stop_.get(), POLLIN, 0}};
            if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
            if (waiting[1].revents != 0) return;
            const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (peer.is_open()) answer(peer.get());
        }
    }

    void answer(int peer) {
        ucred credentials{};
        socklen_t length = sizeof credentials;
        if (::getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return;
        // The socket's mode keeps others out already, but for root.
        if (credentials.uid != ::geteuid() && credentials.uid != 0) return;
        const Status status = hand_over(peer, credentials.pid);
        if (status) return;
        log_.warning("handover_failed",
                     {{"successor", credentials.pid}, {"reason", status.error().message}});
        if (hooks_.go_on) hooks_.go_on();
    }

    Status hand_over(int peer, pid_t successor) {
        auto fds = hooks_.share();
        RETURN_IF_ERROR(fds);
        RETURN_IF_ERROR(send_packet(peer, kGreeting));
        for (const NamedFd& each : *fds)
            RETURN_IF_ERROR(send_packet(peer, std::string(kFdPrefix) + each.name, each.fd.get()));
        RETURN_IF_ERROR(
            send_packet(peer, std::string(kFdPrefix) + std::string(kName), listener_.get()));
        RETURN_IF_ERROR(send_packet(peer, kEnd));
        fds->clear();
        log_.info("handover_began", {{"successor", successor}});
        RETURN_IF_ERROR(expect(peer, kReady, stop_.get()));
        if (hooks_.let_go) RETURN_IF_ERROR(hooks_.let_go());
        RETURN_IF_ERROR(send_packet(peer, kYours));
        RETURN_IF_ERROR(expect(peer, kServing, stop_.get()));
        log_.info("handed_over", {{"successor", successor}});
        is_handed_over_ = true;
        hooks_.handed_over();
        return {};
    }

    const std::string path_;
    const UniqueFd listener_;
    const UniqueFd stop_;
    const HandoverHooks hooks_;
    Log& log_;
    std::atomic<bool> is_handed_over_{false};
    std::thread thread_;  // last: it uses what stands above
};

}  // namespace

Result<UniqueFd> duplicate(int fd) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy.is_open()) return errno_error("cannot duplicate a descriptor");
    return copy;
}

Result<std::optional<Predecessor>> Predecessor::find(const std::string& path) {
    auto socket = connect_to(path);
    RETURN_IF_ERROR(socket);
    if (!socket->is_open()) return std::optional<Predecessor>();
    // A process that was killed may be gone for its parent while its sockets still close.
    const auto has_gone = [](const Result<Packet>& packet) {
        return !packet && packet.error().code == ErrorCode::kUnavailable;
    };
    auto greeting = receive_packet(socket->get(), kShareLimit);
    if (has_gone(greeting)) return std::optional<Predecessor>();
    RETURN_IF_ERROR(greeting);
    if (greeting->text != kGreeting) {
        return broken("expected '" + std::string(kGreeting) +
                      "' from the running process, found '" + excerpt(greeting->text) +
                      "': stop it and start again");
    }
    NamedFds fds;
    for (;;) {
        auto packet = receive_packet(socket->get(), kShareLimit);
        if (has_gone(packet)) return std::optional<Predecessor>();
        RETURN_IF_ERROR(packet);
        if (packet->text == kEnd) break;
        if (!packet->text.starts_with(kFdPrefix) || !packet->fd.is_open())
            return broken("expected a descriptor, found '" + excerpt(packet->text) + "'");
        fds.push_back({packet->text.substr(kFdPrefix.size()), std::move(packet->fd)});
    }
    return std::optional<Predecessor>(Predecessor(std::move(*socket), std::move(fds)));
}

UniqueFd Predecessor::take(std::string_view name) {
    const auto found = std::find_if(fds_.begin(), fds_.end(),
                                    [&](const NamedFd& each) { return each.name == name; });
    if (found == fds_.end()) return UniqueFd();
    UniqueFd fd = std::move(found->fd);
    fds_.erase(found);
    return fd;
}

Status Predecessor::say_ready() {
    RETURN_IF_ERROR(send_packet(socket_.get(), kReady));
    return expect(socket_.get(), kYours);
}

Status Predecessor::say_serving() {
    return send_packet(socket_.get(), kServing);
}

Result<std::unique_ptr<HandoverServer>> HandoverServer::start(const std::string& path,
                                                              UniqueFd listener,
                                                              HandoverHooks hooks,
                                                              Log& log) {
    if (!listener.is_open()) {
        auto fresh = listen_at(path);
        RETURN_IF_ERROR(fresh);
        listener = std::move(*fresh);
    }
    UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
    if (!stop.is_open()) return errno_error("handover: cannot make an event");
    return std::unique_ptr<HandoverServer>(std::make_unique<Server>(
        path, std::move(listener), std::move(stop), std::move(hooks), log));
}

}  // namespace turnpike::net
