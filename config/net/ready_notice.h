// The notice that this process serves, for whoever started it: the protocol of sd_notify(3).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::net {

// Sends READY=1 and the process's id to the socket that $NOTIFY_SOCKET names; nothing without that
// variable. kIo: nobody is there any more.
Status notify_ready();

// The side of whoever starts processes. One thread.
class ReadyNotices {
  public:
    // A new socket at `path`, which it replaces.
    static Result<ReadyNotices> listen(const std::string& path);

    // The process of the next notice that has come; none when there is none. Does not wait.
    std::optional<pid_t> take();

  private:
    explicit ReadyNotices(UniqueFd socket) : socket_(std::move(socket)) {}

    UniqueFd socket_;
};

}  // namespace turnpike::net
