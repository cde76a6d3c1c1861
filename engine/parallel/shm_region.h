// ShmRegion: the memory that the ranks on one host share: for each rank a place to publish in, and
// what all need to know of a failure. A memfd, so that nothing is left behind however they end.
//
// Protocol: operation number n of a rank writes its bytes to half n % 2 of its place and then
// publishes n. Whoever publishes n + 1 has read everything of n, so that a half is written again
// only after everybody has read it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::engine {

inline constexpr int kMaxShmRanks = 64;

// Zero-initialised by the kernel.
struct ShmPlace {
    alignas(64) std::atomic<std::uint32_t> published;  // futex word
    std::atomic<std::int32_t> pid;                     // 0 until the rank has joined
    std::atomic<std::uint32_t> has_left;               // it ended as it should
    std::atomic<std::uint64_t> num_bytes[2];           // in each half
};

struct ShmHeader {
    std::uint64_t magic;
    std::uint64_t num_ranks;
    std::uint64_t half_bytes;
    // 0 = none, 1 = being written, 2 = there.
    std::atomic<std::uint32_t> failure;
    char reason[512];  // ends with a zero
    ShmPlace places[kMaxShmRanks];
};

class ShmRegion {
  public:
    // A new region; the descriptor closes on exec unless it is handed on. Errors: kIo.
    static Result<UniqueFd> create(int num_ranks, std::size_t half_bytes);
    // Errors: kCorrupt for a descriptor of something else, kIo.
    static Result<ShmRegion> map(int fd);

    int num_ranks() const { return static_cast<int>(header().num_ranks); }

    std::size_t half_bytes() const { return header().half_bytes; }

    ShmPlace& place(int rank) const { return header().places[rank]; }

    // The bytes of operation `number` of a rank.
    std::byte* half(int rank, std::uint32_t number) const;

    // Keeps the first reason, cut to fit, and wakes every waiter.
    void fail(const std::string& reason) const;
    Status status() const;

  private:
    struct Unmap {
        std::size_t size = 0;
        void operator()(void* memory) const;
    };

    explicit ShmRegion(std::unique_ptr<void, Unmap> memory) : memory_(std::move(memory)) {}

    ShmHeader& header() const { return *static_cast<ShmHeader*>(memory_.get()); }

    std::unique_ptr<void, Unmap> memory_;
};

// Returns when the word is not `seen`, when it is woken, or after `limit_ms`.
void wait_on(const std::atomic<std::uint32_t>& word, std::uint32_t seen, int limit_ms);
void wake_all(std::atomic<std::uint32_t>& word);

}  // namespace turnpike::engine
