// SystemdDriver: replicas as instances of turnpike-engine@.service on this host. systemd starts,
// watches and confines them (ops/systemd); what we add is their settings.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "controlplane/run/driver.h"
#include "controlplane/run/replica_dir.h"

namespace turnpike::controlplane {

struct SystemdDriverOptions {
    std::string run_dir;  // absolute; the unit's %i is a directory under <run_dir>/r
    std::string systemctl = "systemctl";
    std::string journalctl = "journalctl";
};

// One unit as `systemctl show` tells it.
struct SystemdUnit {
    ReplicaId replica;
    std::string active_state;  // "active", "activating", "deactivating", "inactive", "failed", …
    std::int64_t pid = 0;
    std::string result;  // "success", "exit-code", "signal", "watchdog", "timeout", "oom-kill", …
    std::string exit_code;  // ExecMainCode: 1 exited, 2 killed, 3 dumped core
    std::string exit_status;
};

// Blocks of Property=value lines, one for each unit; units of other names are left out. Pure.
std::vector<SystemdUnit> parse_units(const std::string& text);
bool is_live(const SystemdUnit& unit);
// How it ended, for people.
std::string exit_reason(const SystemdUnit& unit);

// Thread-safe. Calls block while systemctl runs, each for at most half a minute.
class SystemdDriver final : public Driver {
  public:
    // kInvalidArgument when run_dir is not absolute; kUnavailable when systemd does not answer.
    static Result<std::unique_ptr<SystemdDriver>> open(SystemdDriverOptions options);

    Result<std::string> address_of(const ReplicaId& id) const override;
    Status start(const ReplicaSpec& spec) override;
    Status stop(const ReplicaId& id, StopHow how) override;
    Result<std::vector<ObservedProcess>> list() override;

  private:
    explicit SystemdDriver(SystemdDriverOptions options) : options_(std::move(options)) {}

    Result<std::vector<SystemdUnit>> units() const;
    std::string last_log(const ReplicaId& id) const;

    const SystemdDriverOptions options_;
    std::mutex mutex_;
};

}  // namespace turnpike::controlplane
