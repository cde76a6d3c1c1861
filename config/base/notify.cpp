#include "config/base/notify.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>

namespace turnpike {
namespace {

// A manager whose queue stays full for so long has other troubles.
constexpr timeval kSendTimeout{5, 0};

// Removes the variable; empty when it is not set.
std::string take_variable(const char* name) {
    const char* value = std::getenv(name);
    std::string taken = value == nullptr ? "" : value;
    ::unsetenv(name);
    return taken;
}

std::optional<std::int64_t> parse_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size()) return {};
    return number;
}

// Of this process: one that inherited the variables from its parent is not watched.
std::chrono::microseconds parse_watchdog(const std::string& usec, const std::string& pid) {
    const auto period = parse_number(usec);
    if (!period || *period <= 0) return std::chrono::microseconds(0);
    if (!pid.empty() && parse_number(pid) != ::getpid()) return std::chrono::microseconds(0);
    return std::chrono::microseconds(*period);
}

bool is_usable(std::string_view name) {
    const bool is_known = name.size() > 1 && (name.front() == '/' || name.front() == '@');
    return is_known && name.size() < sizeof(sockaddr_un::sun_path);
}

}  // namespace

Result<Notifier> Notifier::from_environment() {
    Notifier notifier;
    notifier.name_ = take_variable("NOTIFY_SOCKET");
    const std::string usec = take_variable("WATCHDOG_USEC");
    const std::string pid = take_variable("WATCHDOG_PID");
    if (notifier.name_.empty()) return notifier;
    if (!is_usable(notifier.name_))
        return invalid_argument(
            "NOTIFY_SOCKET: expected a path or an abstract name (@...) of at "
            "most 107 bytes, found '" +
            excerpt(notifier.name_) + "'");
    notifier.socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!notifier.socket_.is_open()) return errno_error("cannot make a socket");
    ::setsockopt(notifier.socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout,
                 sizeof kSendTimeout);
    notifier.watchdog_ = parse_watchdog(usec, pid);
    return notifier;
}

void Notifier::ready(std::string_view status) const {
    // After a handover it is another process than the one that was started.
    send_with_status("READY=1\nMAINPID=" + std::to_string(::getpid()), status);
}

void Notifier::status(std::string_view text) const {
    send("STATUS=" + std::string(text), 0);
}

void Notifier::stopping(std::string_view status) const {
    send_with_status("STOPPING=1", status);
}

void Notifier::reloading(SteadyTime now) const {
    const auto since_boot =
        std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
    send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(since_boot.count()), 0);
}

bool Notifier::feed() const {
    return send("WATCHDOG=1", MSG_DONTWAIT);
}

bool Notifier::send_with_status(std::string message, std::string_view status) const {
    if (!status.empty()) message += "\nSTATUS=" + std::string(status);
    return send(message, 0);
}

bool Notifier::send(const std::string& message, int flags) const {
    if (!socket_.is_open()) return true;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(name_.begin(), name_.end(), address.sun_path);
    if (name_.front() == '@') address.sun_path[0] = '\0';
    const std::size_t length = offsetof(sockaddr_un, sun_path) + name_.size();
    const ssize_t sent =
        ::sendto(socket_.get(), message.data(), message.size(), flags | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length));
    return sent == static_cast<ssize_t>(message.size());
}

}  // namespace turnpike
