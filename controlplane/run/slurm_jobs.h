// What squeue says of jobs, and what that means for replicas. Pure; see squeue(1) of Slurm 22.05.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "controlplane/plan/reconcile.h"

namespace turnpike::controlplane {

struct SlurmJob {
    std::int64_t id = 0;  // Slurm uses ids again after it lost some: it identifies nothing
    std::string state;    // "PENDING", "RUNNING", …
    std::string exit;     // "7:0" or a wait(2) status
    std::string reason;
    std::string batch_host;
    ReplicaId replica;  // from its comment
    Epoch epoch;
};

// The --Format of squeue that parse_jobs() reads: columns of fixed width.
std::string jobs_format();

// The jobs of `prefix` (see job_comment()); others are left out. kCorrupt for a line that is none.
Result<std::vector<SlurmJob>> parse_jobs(std::string_view text, const std::string& prefix);

// "turnpike:<replica>:<epoch>", with the prefix of the control plane that submits it.
std::string job_comment(const std::string& prefix, const ReplicaId& replica, Epoch epoch);

// Whether its processes may still run, or will.
bool is_live(const SlurmJob& job);

// One for each replica: the job that lives, else the one with the highest epoch. The address and
// the log are not filled in.
std::vector<ObservedProcess> processes_of(const std::vector<SlurmJob>& jobs);

// How it ended, for people: "exit status 7", "signal 9", "node failed".
std::string exit_reason(const SlurmJob& job);

}  // namespace turnpike::controlplane
