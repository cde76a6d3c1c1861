// Every bound of the system with its reason, and how the bounds relate. A thing without a bound
// here is a thing that a stranger can make grow.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace turnpike::limits {

using namespace std::chrono_literals;

// HTTP requests.
inline constexpr std::size_t kMaxHeadBytes =
    16 * 1024;  // nginx: 4 buffers of 8 KiB; SDKs send under 2 KiB
inline constexpr std::size_t kMaxHeaderFields = 64;  // SDKs send about 20
inline constexpr std::size_t kMaxBodyBytes =
    4 * 1024 * 1024;                               // 128K tokens are 0.5 to 1 MiB of JSON
inline constexpr std::size_t kMaxJsonDepth = 32;   // tool schemas stay under 10
inline constexpr std::size_t kMaxMessages = 2048;  // messages in one chat
inline constexpr auto kHeadTimeout = 10s;  // from accept, or from the first byte, to the whole head
inline constexpr auto kBodyTimeout = 60s;  // 4 MiB at 70 KB/s
inline constexpr auto kIdleTimeout = 75s;  // keep-alive between requests; nginx's default
inline constexpr auto kHandshakeTimeout = 10s;
inline constexpr auto kRequestTimeout = 30min;        // 23K thinking tokens at 13 tokens/s
inline constexpr auto kKeepAliveCommentPeriod = 10s;  // proxies cut silence at 50 to 60 s

// The gateway.
inline constexpr std::size_t kMaxConnectionsPerThread = 4096;
inline constexpr std::size_t kRelayBufferBytes = 16 * 1024;  // one TLS record
inline constexpr std::size_t kMaxIdleUpstreamsPerReplica = 64;
inline constexpr auto kClientStallTimeout = 60s;  // a client that takes no byte for so long is gone
inline constexpr auto kCancelTimeout = 5s;        // for an engine's last meter line after a cancel
inline constexpr auto kOutboxCommitPeriod = 5ms;  // group commit of usage records
inline constexpr std::size_t kOutboxSegmentBytes = 64 * 1024 * 1024;
inline constexpr std::size_t kMaxUsageBatch = 512;  // records per delivery

// The engine.
inline constexpr std::size_t kMaxQueuedRequests = 1024;  // beyond it: 503 with retry-after
inline constexpr std::size_t kMaxStreamBacklogBytes =
    1024 * 1024;                           // a reader slower than this is cancelled
inline constexpr int kKvBlockTokens = 64;  // tokens in one paged KV block
inline constexpr int kMaxStepsInFlight = 2;
inline constexpr int kMaxSpeculativeTokens = 8;  // drafts of a sequence in one step
inline constexpr int kMaxChoices = 128;          // n
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr std::size_t kMaxStopStrings = 16;

// The control plane.
inline constexpr std::size_t kMaxActionsPerPass = 64;
inline constexpr auto kReconcilePeriod = 2s;
inline constexpr auto kSnapshotPollTimeout = 25s;  // long poll; under every proxy's idle limit
inline constexpr auto kSnapshotStaleAlert = 60s;
inline constexpr auto kSnapshotStaleRefuse = 24h;
inline constexpr int kMaxReplicasPerEndpoint = 64;
inline constexpr std::size_t kMaxUnixSocketPath = 100;  // sun_path holds 108 bytes with its NUL

static_assert(kMaxHeadBytes < kMaxBodyBytes);
static_assert(kSnapshotPollTimeout < kSnapshotStaleAlert);
static_assert(kKeepAliveCommentPeriod < kIdleTimeout);
static_assert(kRelayBufferBytes < kMaxStreamBacklogBytes);

}  // namespace turnpike::limits
