// See replica_ranks.h.
#include "engine/serve/replica_ranks.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "config/base/clock.h"
#include "engine/model/load.h"

namespace turnpike::engine {
namespace {

constexpr const char* kOwnProgram = "/proc/self/exe";

}  // namespace

void RankFailure::end(const Error& error) {
    // The second thread to notice waits for the first to end the process.
    while (has_begun_.exchange(true)) ::pause();
    log_.error("rank_lost", {{"reason", error.message}});
    std::_Exit(1);
}

Result<std::unique_ptr<ReplicaRanks>> ReplicaRanks::start(int num_ranks,
                                                          AttentionLayout attention,
                                                          Log& log) {
    std::unique_ptr<ReplicaRanks> ranks(new ReplicaRanks(attention, log));
    if (num_ranks == 1) return ranks;
    const auto memory = ShmRegion::create(num_ranks, kDefaultShmHalfBytes);
    if (!memory) return memory.error();
    auto processes = RankProcesses::start({kOwnProgram, "rank"}, num_ranks, memory->get());
    if (!processes) return processes.error();
    ranks->processes_ = std::move(*processes);
    ShmOptions options;
    options.check_join = [&processes = *ranks->processes_] { return processes.check(); };
    options.on_peer_end = [failure = &ranks->failure_](const Error& error) { failure->end(error); };
    auto communicator = ShmCommunicator::join(memory->get(), std::move(options));
    if (!communicator) return communicator.error();
    ranks->communicator_ = std::move(*communicator);
    for (std::size_t i = 0; i < ranks->processes_->pids().size(); ++i)
        log.info("rank_started", {{"rank", i + 1}, {"pid", ranks->processes_->pids()[i]}});
    return ranks;
}

RankLink ReplicaRanks::link() {
    RankLink link;
    link.communicator = communicator_.get();
    link.attention = attention_;
    link.on_failure = [this](const Error& error) { failure_.end(error); };
    return link;
}

int run_rank_process(int rank) {
    const SystemClock clock;
    Log log(clock, "engine-rank-" + std::to_string(rank));
    RankFailure failure(log);
    ShmOptions options;
    options.rank = rank;
    options.check_join = [leader = ::getppid()]() -> Status {
        if (::getppid() == leader) return {};
        return Error{ErrorCode::kUnavailable, "rank 0 ended before it joined", {}};
    };
    const auto on_failure = [&failure](const Error& error) { failure.end(error); };
    options.on_peer_end = on_failure;
    const auto communicator = ShmCommunicator::join(kRankMemoryFd, std::move(options));
    if (!communicator) failure.end(communicator.error());
    RankLink link;
    link.communicator = communicator->get();
    link.on_failure = on_failure;
    if (const Status status = run_rank(link); !status) failure.end(status.error());
    return 0;
}

}  // namespace turnpike::engine
