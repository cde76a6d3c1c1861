// Which replica serves a request: of two random READY ones, the one with fewer requests in flight
// (Mitzenmacher 2001, "The power of two choices"). Pure; the randomness is an argument.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>

#include "config/base/ids.h"
#include "controlplane/api/snapshot.h"

namespace turnpike::gateway {

// Requests in flight per replica, as one gateway thread counts them. Not thread-safe.
class InFlight {
  public:
    // Counts one request for as long as it lives. Must not outlive the InFlight.
    class Token {
      public:
        Token() = default;

        Token(Token&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)), replica_(std::move(other.replica_)) {}

        Token& operator=(Token&& other) noexcept;

        ~Token() { release(); }

      private:
        friend class InFlight;

        Token(InFlight& owner, ReplicaId replica) : owner_(&owner), replica_(std::move(replica)) {}

        void release();

        InFlight* owner_ = nullptr;
        ReplicaId replica_;
    };

    Token begin(const ReplicaId& replica);
    int count(const ReplicaId& replica) const;

  private:
    std::unordered_map<ReplicaId, int> counts_;
};

// Null when no replica but `excluded` (which may be null) is there. `random`: 64 uniform bits.
const controlplane::ReplicaRow* choose_replica(std::span<const controlplane::ReplicaRow> ready,
                                               const InFlight& in_flight,
                                               std::uint64_t random,
                                               const ReplicaId* excluded);

}  // namespace turnpike::gateway
