// ShmCommunicator: the communicator of ranks that are processes (or threads) of one host, over
// shared memory. A peer that ends without leaving is noticed at once, also by an idle rank.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/parallel/peer_watch.h"
#include "engine/parallel/shm_region.h"
#include "kernels/api/communicator.h"

namespace turnpike::engine {

inline constexpr std::size_t kDefaultShmHalfBytes = std::size_t{4} << 20;

struct ShmOptions {
    int rank = 0;
    int wait_limit_ms = 120'000;  // of waits that are bounded
    int join_limit_ms = 60'000;   // until all ranks have joined
    // Called now and then while others have not joined; an error ends the wait.
    std::function<Status()> check_join = [] { return Status(); };
    // Called once on a thread of the communicator's when a peer ended without leaving, or
    // left after a failure, with what status() returns. May end the process.
    std::function<void(const Error&)> on_peer_end = [](const Error&) {};
};

class ShmCommunicator final : public kernels::Communicator {
  public:
    // Joins the ranks of ShmRegion::create(), whose descriptor may be closed afterwards, and waits
    // for all of them. Errors: kTimeout, kUnavailable with a reason, kIo, kCorrupt.
    static Result<std::unique_ptr<ShmCommunicator>> join(int fd, ShmOptions options);
    // Leaves: peers that wait for this rank fail, the others do not mind.
    ~ShmCommunicator() override;

    int rank() const override { return options_.rank; }

    int size() const override { return region_.num_ranks(); }

    Status all_gather(void* data, std::span<const std::size_t> part_bytes) override;
    Status broadcast(std::span<std::byte> data, int root) override;
    Status barrier() override;

    void abort(const std::string& reason) override { region_.fail(reason); }

    Status status() const override { return region_.status(); }

  private:
    // What one rank gives in one operation.
    struct Part {
        std::byte* data = nullptr;
        std::size_t num_bytes = 0;
    };

    enum class Patience { kBounded, kWhileAlive };

    ShmCommunicator(ShmRegion region, ShmOptions options);

    Status wait_for_all_to_join() const;
    Status watch_peers();
    // One part of each rank, in as many rounds as the largest takes.
    Status exchange(std::span<const Part> parts, Patience patience);
    Status exchange_round(std::span<const Part> parts, Patience patience);
    void publish(Part own);
    Status wait_for(int peer, Patience patience);
    Status take(int peer, Part out);

    ShmRegion region_;
    ShmOptions options_;
    std::uint32_t number_ = 0;  // of the newest operation
    int num_spins_ = 0;
    std::unique_ptr<PeerWatch> watch_;
};

}  // namespace turnpike::engine
