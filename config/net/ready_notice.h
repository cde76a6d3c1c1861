// ReadyNotices: what processes tell whoever started them by config/base/notify.h.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::net {

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
