// Succession: how this process gets its listening sockets from the one that it replaces, and gives
// them to the one that replaces it. See ops/docs/formats/handover.md.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "config/base/log.h"
#include "config/base/result.h"
#include "config/net/address.h"
#include "config/net/handover.h"

namespace turnpike::controlplane {

class Succession {
  public:
    // `path` empty: nobody is replaced. `wake`, from another thread: is_wanted() is true now.
    static Result<std::unique_ptr<Succession>> begin(std::string path,
                                                     std::function<void()> wake,
                                                     Log& log);
    Succession(const Succession&) = delete;
    Succession& operator=(const Succession&) = delete;
    ~Succession();

    // The functions below are for one thread.
    bool takes_over() const { return predecessor_.has_value(); }

    // When this process takes over: returns once the other one has closed its store.
    Status say_ready();
    // The socket that listens there already, for a server of this process; closed when there is
    // none.
    Result<UniqueFd> find_listener(const net::NetAddress& address);
    // Keeps a copy of a server's listening socket, to give away and to serve with again.
    Status keep_listener(const net::NetAddress& address, Result<UniqueFd> listener);
    // This process serves; the one before is told, once, and another one may come.
    Status say_serving();

    // Another process is ready and waits for the store.
    bool is_wanted() const;
    // Once the store is closed. True: the other one serves. False: it has gone; open it again.
    bool hand_over();
    // This process ends: the sockets are nobody's any more.
    void end();

  private:
    enum class State {
        kServing,
        kWanted,  // the other one waits for the store
        kClosed,  // the store is its own
        kHandedOver,
        kEnding,
    };

    Succession(std::string path, std::function<void()> wake, Log& log)
        : path_(std::move(path)), wake_(std::move(wake)), log_(log) {}

    Result<net::NamedFds> share();
    Status let_go();
    void set(State state);

    const std::string path_;
    const std::function<void()> wake_;
    Log& log_;
    std::optional<net::Predecessor> predecessor_;  // until this process serves

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    State state_ = State::kServing;  // guarded by mutex_
    net::NamedFds kept_;             // guarded by mutex_
    std::unique_ptr<net::HandoverServer> server_;
};

}  // namespace turnpike::controlplane
