// RankedRunner: a loaded model on one or more ranks, the others as threads of the test that share
// memory as processes would.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "engine/model/load.h"
#include "engine/parallel/shm_communicator.h"

namespace turnpike::engine {

class RankedRunner {
  public:
    // options.ranks.communicator is of this object's making.
    RankedRunner(const RunnerOptions& options, int num_ranks) {
        RunnerOptions own = options;
        if (num_ranks > 1) {
            auto region = ShmRegion::create(num_ranks, kHalfBytes);
            EXPECT_TRUE(region);
            region_ = std::move(*region);
            for (int rank = 1; rank < num_ranks; ++rank)
                others_.emplace_back([this, rank] { run_other(rank); });
            communicator_ = join(0);
            own.ranks.communicator = communicator_.get();
        }
        auto runner = load_runner(own);
        EXPECT_TRUE(runner) << (runner ? "" : runner.error().message);
        if (runner) runner_ = std::move(*runner);
    }

    ~RankedRunner() {
        runner_.reset();
        for (std::thread& other : others_) other.join();
    }

    Runner& operator*() { return *runner_; }

  private:
    static constexpr std::size_t kHalfBytes = 1 << 16;  // larger parts take several rounds

    std::unique_ptr<ShmCommunicator> join(int rank) {
        ShmOptions options;
        options.rank = rank;
        auto joined = ShmCommunicator::join(region_.get(), std::move(options));
        EXPECT_TRUE(joined) << (joined ? "" : joined.error().message);
        return joined ? std::move(*joined) : nullptr;
    }

    void run_other(int rank) {
        const auto communicator = join(rank);
        RankLink link;
        link.communicator = communicator.get();
        const Status status = run_rank(link);
        EXPECT_TRUE(status) << (status ? "" : status.error().message);
    }

    UniqueFd region_;
    std::vector<std::thread> others_;
    std::unique_ptr<ShmCommunicator> communicator_;
    std::unique_ptr<Runner> runner_;
};

}  // namespace turnpike::engine
