// ReplicaRanks: the ranks of this replica seen from rank 0: processes of this host, started,
// joined and watched. When one is lost, so is the replica, and the process ends with the reason.
#pragma once

#include <atomic>
#include <memory>

#include "config/base/log.h"
#include "engine/model/rank_link.h"
#include "engine/parallel/rank_processes.h"
#include "engine/parallel/shm_communicator.h"

namespace turnpike::engine {

// Logs the loss of a rank and ends the process with exit code 1. Any thread; the first counts.
class RankFailure {
  public:
    explicit RankFailure(Log& log) : log_(log) {}

    [[noreturn]] void end(const Error& error);

  private:
    Log& log_;
    std::atomic<bool> has_begun_{false};
};

class ReplicaRanks {
  public:
    // Starts nothing for one rank. The caller has blocked the signals that end it: the others end
    // with it. Errors: kIo, kTimeout, kUnavailable.
    static Result<std::unique_ptr<ReplicaRanks>> start(int num_ranks,
                                                       AttentionLayout attention,
                                                       Log& log);

    // For this rank's model, which must be gone before this object is.
    RankLink link();

  private:
    ReplicaRanks(AttentionLayout attention, Log& log) : attention_(attention), failure_(log) {}

    AttentionLayout attention_;
    RankFailure failure_;
    std::unique_ptr<RankProcesses> processes_;  // end after the communicator, which they wait for
    std::unique_ptr<ShmCommunicator> communicator_;
};

// Rank `rank` of a replica that another process leads: loads its share and computes until the
// leader is done. Returns the exit code.
int run_rank_process(int rank);

}  // namespace turnpike::engine
