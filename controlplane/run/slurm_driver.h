// SlurmDriver: replicas as jobs of a Slurm cluster, by its programs (its library is under the GPL).
// Slurm owns nodes, GPUs and placing; a replica that is lost is replaced by a new job, never
// requeued. A job is identified by its comment, which names replica and epoch: sbatch's
// acknowledgement is not durable and its ids are used again after a controller that was killed.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/net/tls_files.h"
#include "controlplane/run/driver.h"
#include "controlplane/run/replica_dir.h"
#include "controlplane/run/slurm_jobs.h"

namespace turnpike::controlplane {

// What a replica on one kind of hardware asks of Slurm.
struct SlurmHardware {
    std::string gres;   // of each node: "gpu:h200:8"; empty: none
    int num_nodes = 1;  // a gang: the job waits for all, and srun starts one engine on each
    std::vector<std::string> arguments;  // more of sbatch: "--partition=gpu", "--account=…"
};

struct SlurmDriverOptions {
    std::string run_dir;        // absolute, on a file system of all nodes
    std::string engine_binary;  // absolute, on the nodes
    std::string job_prefix;     // tells several control planes of one cluster and user apart
    net::TlsFiles tls;          // of the engines, as the nodes have them
    std::map<std::string, SlurmHardware> hardware;
};

// Thread-safe. Calls block while Slurm's programs run, each for at most half a minute.
class SlurmDriver final : public Driver {
  public:
    // kInvalidArgument for paths that are not absolute; kUnavailable when no controller answers.
    static Result<std::unique_ptr<SlurmDriver>> open(SlurmDriverOptions options);

    // Empty: an engine is found by what it writes once it listens.
    Result<std::string> address_of(const ReplicaId& id) const override;
    // Returns once the job is listed: it may wait for its place.
    Status start(const ReplicaSpec& spec) override;
    Status stop(const ReplicaId& id, StopHow how) override;
    // Jobs that Slurm has forgotten (MinJobAge after their end) are not listed.
    Result<std::vector<ObservedProcess>> list() override;

  private:
    explicit SlurmDriver(SlurmDriverOptions options) : options_(std::move(options)) {}

    Result<std::vector<SlurmJob>> jobs() const;
    Status write_script(const ReplicaDir& dir, const SlurmHardware& hardware) const;
    Status submit(const ReplicaSpec& spec, const ReplicaDir& dir, const SlurmHardware& hardware);
    Status wait_until_listed(const ReplicaSpec& spec) const;
    Result<std::string> host_address(const std::string& node);
    std::string address_on(const std::string& node, const ReplicaDir& dir);

    const SlurmDriverOptions options_;
    std::mutex mutex_;
    std::map<std::string, std::string> host_addresses_;  // by node; guarded by mutex_
};

}  // namespace turnpike::controlplane
