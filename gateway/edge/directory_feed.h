// DirectoryFeed: keeps the directory up to date from the control plane by long poll, and in a file,
// so that a gateway starts and serves while the control plane is away. See
// ops/docs/formats/snapshot.md.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/net/http_client.h"
#include "gateway/policy/directory.h"

namespace turnpike::gateway {

// The newest directory, shared by all threads. Thread-safe.
class DirectoryHolder {
  public:
    using Shared = std::shared_ptr<const Directory>;

    // `contact`: when the control plane last confirmed it.
    void set(Shared directory, WallTime contact);
    void set_contact(WallTime contact);

    // Null before the first snapshot.
    Shared get() const;

    std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

    // Calls `report` once when there is a newer one than `version`, from another thread or at once;
    // it must not block.
    void when_changed(std::uint64_t version, std::function<void()> report) const;

    WallTime contact() const;

  private:
    mutable std::mutex mutex_;
    Shared directory_;
    mutable std::vector<std::function<void()>> waiting_;  // guarded by mutex_
    std::atomic<std::uint64_t> version_{0};
    std::atomic<std::int64_t> contact_unix_us_{0};
};

// One thread's view: looks at the holder's version and takes its lock only on a change.
class DirectoryReader {
  public:
    explicit DirectoryReader(const DirectoryHolder& holder) : holder_(holder) {}

    const DirectoryHolder::Shared& current() {
        if (const std::uint64_t version = holder_.version(); version != version_) {
            directory_ = holder_.get();
            version_ = version;
        }
        return directory_;
    }

    // Of what current() gave.
    std::uint64_t version() const { return version_; }

    void when_changed(std::uint64_t version, std::function<void()> report) const {
        holder_.when_changed(version, std::move(report));
    }

    // Not confirmed for so long that revoked keys might still work.
    bool is_stale(WallTime now) const;

  private:
    const DirectoryHolder& holder_;
    DirectoryHolder::Shared directory_;
    std::uint64_t version_ = 0;
};

class DirectoryFeed {
  public:
    // Reads `snapshot_file` when there is one (a broken one is reported and ignored), then polls
    // until destroyed. `writer`: this gateway's name among those that write the file during a
    // handover.
    DirectoryFeed(DirectoryHolder& holder,
                  std::string snapshot_file,
                  std::string writer,
                  const net::NetAddress& controlplane,
                  const Clock& clock,
                  Log& log);
    ~DirectoryFeed();

  private:
    void load_file();
    void run();
    Status poll();
    Status take(const std::string& body);
    void note_contact();
    void warn_when_stale();
    void sleep(std::chrono::milliseconds duration);

    DirectoryHolder& holder_;
    const std::string snapshot_file_;
    const std::string writer_;
    net::HttpClient client_;
    const Clock& clock_;
    Log& log_;
    bool wants_full_ = false;
    bool has_warned_ = false;
    std::mutex mutex_;
    std::condition_variable stop_;
    std::atomic<bool> is_stopping_{false};
    std::thread thread_;
};

}  // namespace turnpike::gateway
