// Notifier: tells whoever started this process how it is, as sd_notify(3) does and without its
// library: one datagram per message to the socket that NOTIFY_SOCKET names. Without that variable
// nothing is sent.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike {

class Notifier {
  public:
    // Sends nothing.
    Notifier() = default;

    // As the environment says, whose NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID it removes:
    // they are not for processes that this one starts. Before any thread starts. kInvalidArgument
    // when the socket's name is neither a path nor abstract ("@...").
    static Result<Notifier> from_environment();

    // How often to be fed, or its manager ends this process: see sd_watchdog_enabled(3). 0 = need
    // not be fed.
    std::chrono::microseconds watchdog() const { return watchdog_; }

    // All below: any thread. A message that does not arrive is nobody's error but the manager's:
    // it is not repeated, except where noted.

    // `status` is one line for people; empty for none.
    void ready(std::string_view status = {}) const;
    void status(std::string_view text) const;
    void stopping(std::string_view status = {}) const;
    // ready() ends it.
    void reloading(SteadyTime now) const;
    // Never waits. False when it could not be sent now: feed again soon.
    bool feed() const;

  private:
    bool send(const std::string& message, int flags) const;
    bool send_with_status(std::string message, std::string_view status) const;

    UniqueFd socket_;
    std::string name_;  // as in NOTIFY_SOCKET
    std::chrono::microseconds watchdog_{0};
};

}  // namespace turnpike
