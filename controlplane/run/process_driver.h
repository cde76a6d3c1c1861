// ProcessDriver: replicas as processes of this host. Each has a directory <run_dir>/r/<replica id>/
// with its settings, socket, log, lock, meter file and pid file, and outlives us: it runs in a
// session of its own and is found again by pid and start time, or by its command line when we died
// before its pid was written down.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/run/driver.h"
#include "controlplane/run/exit_watcher.h"
#include "controlplane/run/process_identity.h"
#include "controlplane/run/replica_dir.h"

namespace turnpike::controlplane {

struct ProcessDriverOptions {
    std::string run_dir;        // absolute
    std::string engine_binary;  // absolute; run as: <binary> serve --config <dir>/engine.json
};

// Thread-safe.
class ProcessDriver final : public Driver {
  public:
    // Finds what runs already. `on_exit` is called from another thread soon after a replica ends.
    static Result<std::unique_ptr<ProcessDriver>> open(ProcessDriverOptions options,
                                                       std::function<void()> on_exit);

    Result<std::string> address_of(const ReplicaId& id) const override;
    Status start(const ReplicaSpec& spec) override;
    Status stop(const ReplicaId& id, StopHow how) override;
    Result<std::vector<ObservedProcess>> list() override;

  private:
    struct Known {
        ProcessIdentity identity;
        Epoch epoch;
        bool is_child = false;    // ours to reap
        bool has_ended = false;   // reaped, or found gone
        std::string exit_reason;  // of one that has ended
    };

    ProcessDriver(ProcessDriverOptions options, std::function<void()> on_exit);
    ReplicaDir dir_of(const ReplicaId& id) const;
    Status find_running();
    Status adopt(const ReplicaId& id, const std::map<pid_t, std::string>& arguments);
    void refresh(Known& known);

    const ProcessDriverOptions options_;
    std::mutex mutex_;
    std::map<ReplicaId, Known> known_;  // guarded by mutex_
    ExitWatcher watcher_;               // last: its thread ends first
};

}  // namespace turnpike::controlplane
