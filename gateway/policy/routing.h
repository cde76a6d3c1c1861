// Which replica serves a request: the one that its prompt's beginning prefers, whose prefix cache
// has it if any has (rendezvous hashing, Thaler and Ravishankar 1998), unless that one has many
// more requests than others; then of two random READY ones the one with fewer tokens outstanding
// (Mitzenmacher 2001, "The power of two choices"). Pure; time and randomness are arguments.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "config/base/ids.h"
#include "config/base/money.h"
#include "controlplane/api/snapshot.h"
#include "gateway/policy/outliers.h"

namespace turnpike::gateway {

// Requests in flight per replica, and the tokens that they may still take, as one gateway thread
// counts them. Not thread-safe.
class InFlight {
  public:
    // Counts one request for as long as it lives. Must not outlive the InFlight.
    class Token {
      public:
        Token() = default;

        Token(Token&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)),
              replica_(std::move(other.replica_)),
              num_tokens_(other.num_tokens_) {}

        Token& operator=(Token&& other) noexcept;

        ~Token() { release(); }

      private:
        friend class InFlight;

        Token(InFlight& owner, ReplicaId replica, TokenCount num_tokens)
            : owner_(&owner), replica_(std::move(replica)), num_tokens_(num_tokens) {}

        void release();

        InFlight* owner_ = nullptr;
        ReplicaId replica_;
        TokenCount num_tokens_ = 0;
    };

    // num_tokens: an estimate of prompt and answer.
    Token begin(const ReplicaId& replica, TokenCount num_tokens = 1);
    int count(const ReplicaId& replica) const;
    TokenCount tokens(const ReplicaId& replica) const;

  private:
    struct Load {
        int num_requests = 0;
        TokenCount num_tokens = 0;
    };

    std::unordered_map<ReplicaId, Load> loads_;
};

// What a request says about where it should go.
struct RoutingHint {
    std::uint64_t random = 0;             // 64 uniform bits
    std::uint64_t prefix = 0;             // hash of the prompt's beginning; 0 = no preference
    const ReplicaId* excluded = nullptr;  // it was there and came back
    SteadyTime now;
};

// A replica that the prefix prefers may have so many requests more than the other choice.
inline constexpr int kMostAhead = 8;
// Of a request's text, from its messages or prompt on: what is shared by the turns of a
// conversation and by all that have one system prompt.
inline constexpr std::size_t kPrefixBytes = 256;

// Hash of the beginning of a request's prompt, within one organisation; never 0.
std::uint64_t hash_prefix(std::string_view salt, std::string_view body);

// Null when no replica but the excluded one is there. Ejected ones are left out unless all are.
const controlplane::ReplicaRow* choose_replica(std::span<const controlplane::ReplicaRow> ready,
                                               const InFlight& in_flight,
                                               const Outliers& outliers,
                                               const RoutingHint& hint);

}  // namespace turnpike::gateway
