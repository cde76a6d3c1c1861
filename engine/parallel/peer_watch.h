// PeerWatch: notices the end of other processes, whatever this one is doing, by a thread that waits
// on their process descriptors.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::engine {

class PeerWatch {
  public:
    // on_end(index into pids) is called once for each, on the watch's thread. A process that is
    // this one is not watched. Errors: kUnavailable when one has ended already, kIo.
    static Result<std::unique_ptr<PeerWatch>> start(const std::vector<int>& pids,
                                                    std::function<void(std::size_t)> on_end);
    ~PeerWatch();
    PeerWatch(const PeerWatch&) = delete;

  private:
    PeerWatch(std::vector<UniqueFd> processes,
              UniqueFd stop,
              std::function<void(std::size_t)> on_end);

    void run();

    std::vector<UniqueFd> processes_;  // closed once their end was told
    UniqueFd stop_;
    std::function<void(std::size_t)> on_end_;
    std::thread thread_;
};

}  // namespace turnpike::engine
