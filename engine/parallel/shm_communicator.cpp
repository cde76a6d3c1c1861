// See shm_communicator.h.
#include "engine/parallel/shm_communicator.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "config/base/check.h"

namespace turnpike::engine {
namespace {

constexpr int kWaitSliceMs = 50;
// About 40 us: most waits between ranks of equal work are shorter than putting a thread to sleep.
constexpr int kSpins = 2000;

void pause_briefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

int num_cores() {
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
    return CPU_COUNT(&allowed);
}

// Whether operation `number` is published; numbers wrap around.
bool has_published(std::uint32_t published, std::uint32_t number) {
    return static_cast<std::int32_t>(published - number) >= 0;
}

std::string name_of(int rank, int pid) {
    return "rank " + std::to_string(rank) + " (process " + std::to_string(pid) + ")";
}

}  // namespace

Result<std::unique_ptr<ShmCommunicator>> ShmCommunicator::join(int fd, ShmOptions options) {
    auto region = ShmRegion::map(fd);
    if (!region) return region.error();
    if (options.rank < 0 || options.rank >= region->num_ranks()) {
        return invalid_argument("expected a rank below " + std::to_string(region->num_ranks()) +
                                ", found " + std::to_string(options.rank));
    }
    std::unique_ptr<ShmCommunicator> joined(
        new ShmCommunicator(std::move(*region), std::move(options)));
    RETURN_IF_ERROR(joined->wait_for_all_to_join());
    RETURN_IF_ERROR(joined->watch_peers());
    return joined;
}

ShmCommunicator::ShmCommunicator(ShmRegion region, ShmOptions options)
    : region_(std::move(region)), options_(std::move(options)) {
    // Who spins on a core that a peer needs only delays it.
    if (size() <= num_cores()) num_spins_ = kSpins;
    ShmPlace& own = region_.place(rank());
    own.pid.store(::getpid());
    wake_all(own.published);
}

ShmCommunicator::~ShmCommunicator() {
    watch_.reset();
    ShmPlace& own = region_.place(rank());
    own.has_left.store(1);
    wake_all(own.published);
}

Status ShmCommunicator::wait_for_all_to_join() const {
    for (int peer = 0; peer < size(); ++peer) {
        const ShmPlace& place = region_.place(peer);
        for (int waited_ms = 0; place.pid.load() == 0; waited_ms += kWaitSliceMs) {
            RETURN_IF_ERROR(region_.status());
            RETURN_IF_ERROR(options_.check_join());
            if (waited_ms >= options_.join_limit_ms) {
                return Error{ErrorCode::kTimeout,
                             "rank " + std::to_string(peer) + " did not join within " +
                                 std::to_string(options_.join_limit_ms / 1000) + " s",
                             {}};
            }
            wait_on(place.published, 0, kWaitSliceMs);
        }
    }
    return {};
}

Status ShmCommunicator::watch_peers() {
    std::vector<int> pids;
    pids.reserve(static_cast<std::size_t>(size()));
    for (int peer = 0; peer < size(); ++peer) pids.push_back(region_.place(peer).pid.load());
    auto watch = PeerWatch::start(pids, [this, pids, is_told = false](std::size_t peer) mutable {
        const int index = static_cast<int>(peer);
        // Who failed says so and then leaves like anybody.
        if (region_.place(index).has_left.load() != 0 && region_.status()) return;
        region_.fail(name_of(index, pids[peer]) + " ended without warning");
        if (!std::exchange(is_told, true)) options_.on_peer_end(region_.status().error());
    });
    if (!watch) return watch.error();
    watch_ = std::move(*watch);
    return {};
}

Status ShmCommunicator::all_gather(void* data, std::span<const std::size_t> part_bytes) {
    CHECK(static_cast<int>(part_bytes.size()) == size());
    std::vector<Part> parts;
    auto* at = static_cast<std::byte*>(data);
    for (const std::size_t num_bytes : part_bytes) {
        parts.push_back({at, num_bytes});
        at += num_bytes;
    }
    return exchange(parts, Patience::kBounded);
}

Status ShmCommunicator::broadcast(std::span<std::byte> data, int root) {
    CHECK(root >= 0 && root < size());
    std::vector<Part> parts(static_cast<std::size_t>(size()));
    parts[static_cast<std::size_t>(root)] = {data.data(), data.size()};
    return exchange(parts, rank() == root ? Patience::kBounded : Patience::kWhileAlive);
}

Status ShmCommunicator::barrier() {
    const std::vector<Part> parts(static_cast<std::size_t>(size()));
    return exchange(parts, Patience::kWhileAlive);
}

Status ShmCommunicator::exchange(std::span<const Part> parts, Patience patience) {
    std::size_t longest = 0;
    for (const Part& part : parts) longest = std::max(longest, part.num_bytes);
    std::size_t done = 0;
    do {
        std::vector<Part> round;
        for (const Part& part : parts) {
            const std::size_t before = std::min(done, part.num_bytes);
            round.push_back(
                {part.data + before, std::min(part.num_bytes - before, region_.half_bytes())});
        }
        RETURN_IF_ERROR(exchange_round(round, patience));
        done += region_.half_bytes();
    } while (done < longest);
    return {};
}

Status ShmCommunicator::exchange_round(std::span<const Part> parts, Patience patience) {
    RETURN_IF_ERROR(region_.status());
    publish(parts[static_cast<std::size_t>(rank())]);
    for (int peer = 0; peer < size(); ++peer) {
        if (peer == rank()) continue;
        RETURN_IF_ERROR(wait_for(peer, patience));
        RETURN_IF_ERROR(take(peer, parts[static_cast<std::size_t>(peer)]));
    }
    return {};
}

void ShmCommunicator::publish(Part own) {
    ++number_;
    ShmPlace& place = region_.place(rank());
    if (own.num_bytes > 0) std::memcpy(region_.half(rank(), number_), own.data, own.num_bytes);
    place.num_bytes[number_ % 2].store(own.num_bytes, std::memory_order_relaxed);
    place.published.store(number_);
    wake_all(place.published);
}

Status ShmCommunicator::wait_for(int peer, Patience patience) {
    const ShmPlace& place = region_.place(peer);
    for (int i = 0; i < num_spins_; ++i) {
        if (has_published(place.published.load(), number_)) return {};
        pause_briefly();
    }
    for (int waited_ms = 0;; waited_ms += kWaitSliceMs) {
        // Before the word: who leaves has published everything that it will.
        const bool has_left = place.has_left.load() != 0;
        const std::uint32_t published = place.published.load();
        if (has_published(published, number_)) return {};
        RETURN_IF_ERROR(region_.status());
        if (has_left) region_.fail(name_of(peer, place.pid.load()) + " has left");
        if (patience == Patience::kBounded && waited_ms >= options_.wait_limit_ms) {
            region_.fail(name_of(peer, place.pid.load()) + " did not answer rank " +
                         std::to_string(rank()) + " within " +
                         std::to_string(options_.wait_limit_ms) + " ms");
        }
        RETURN_IF_ERROR(region_.status());
        wait_on(place.published, published, kWaitSliceMs);
    }
}

Status ShmCommunicator::take(int peer, Part out) {
    const std::uint64_t found = region_.place(peer).num_bytes[number_ % 2].load();
    if (found != out.num_bytes) {
        region_.fail("rank " + std::to_string(rank()) + " expected " +
                     std::to_string(out.num_bytes) + " bytes of rank " + std::to_string(peer) +
                     ", found " + std::to_string(found));
        return region_.status();
    }
    if (out.num_bytes > 0) std::memcpy(out.data, region_.half(peer, number_), out.num_bytes);
    return {};
}

}  // namespace turnpike::engine
