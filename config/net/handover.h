// Handover: a running process gives its listening sockets to the process that replaces it, over a
// Unix socket. See ops/docs/formats/handover.md.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/log.h"
#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::net {

// A descriptor by the name under which its successor looks for it. Several may have one name.
struct NamedFd {
    std::string name;
    UniqueFd fd;
};

using NamedFds = std::vector<NamedFd>;

// kIo when there are no descriptors left.
Result<UniqueFd> duplicate(int fd);

// The running process, as the one that replaces it sees it. One thread.
class Predecessor {
  public:
    // Connects and takes what it gives. Nothing when nobody answers at `path`, or when whoever does
    // goes meanwhile.
    static Result<std::optional<Predecessor>> find(const std::string& path);

    // The first descriptor of that name that is left; closed when there is none.
    UniqueFd take(std::string_view name);

    // Everything that can fail has been tried. Returns once the predecessor holds nothing any more
    // that only one of the two may have. An error: it goes on.
    Status say_ready();
    // This process serves. From now on the predecessor takes no new connections.
    Status say_serving();

  private:
    Predecessor(UniqueFd socket, NamedFds fds) : socket_(std::move(socket)), fds_(std::move(fds)) {}

    UniqueFd socket_;
    NamedFds fds_;
};

// What a process does when another one replaces it. Called on the server's thread, one at a time.
struct HandoverHooks {
    // What it gives. The sockets stay in use here too.
    std::function<Result<NamedFds>()> share;
    // Lets go of what only one process may hold. May be null.
    std::function<Status()> let_go;
    // The successor serves. Nobody is answered after that.
    std::function<void()> handed_over;
    // The successor has gone before that, at any point: this process goes on, with what let_go()
    // has let go too. May be null.
    std::function<void()> go_on;
};

class HandoverServer {
  public:
    // The name of its own listening socket among those that are given.
    static constexpr std::string_view kName = "handover";

    // Answers at `path` with `listener`, or with a new socket when that is closed. kConflict:
    // another process answers there.
    static Result<std::unique_ptr<HandoverServer>> start(const std::string& path,
                                                         UniqueFd listener,
                                                         HandoverHooks hooks,
                                                         Log& log);
    // Ends a handover in progress as failed. Removes the path unless it is the successor's now.
    virtual ~HandoverServer() = default;
};

}  // namespace turnpike::net
