// RankProcesses: the processes of the ranks beside rank 0, its children.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "config/base/result.h"

namespace turnpike::engine {

// The descriptor at which a child finds the ranks' shared memory.
inline constexpr int kRankMemoryFd = 3;

class RankProcesses {
  public:
    // Runs `command` with the rank's number as its last argument for ranks 1 .. num_ranks - 1.
    // Signals that the caller blocks are blocked in them. Errors: kIo.
    static Result<std::unique_ptr<RankProcesses>> start(const std::vector<std::string>& command,
                                                        int num_ranks,
                                                        int memory_fd);
    // Waits for their end, and kills those that take longer than a few seconds.
    ~RankProcesses();
    RankProcesses(const RankProcesses&) = delete;

    // kUnavailable when one has ended.
    Status check() const;

    const std::vector<pid_t>& pids() const { return pids_; }

  private:
    RankProcesses() = default;

    std::vector<pid_t> pids_;  // of rank 1 and on
};

}  // namespace turnpike::engine
