// See shm_region.h.
#include "engine/parallel/shm_region.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "config/base/check.h"

namespace turnpike::engine {
namespace {

constexpr std::uint64_t kMagic = 0x31736B6E61725454;  // "TTranks1"
constexpr std::size_t kPage = 4096;
constexpr std::uint32_t kWriting = 1;
constexpr std::uint32_t kFailed = 2;
// How often a reader steps aside for who writes the reason, which takes well under a microsecond.
constexpr int kMaxYields = 1000;

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::size_t header_bytes() {
    return (sizeof(ShmHeader) + kPage - 1) / kPage * kPage;
}

std::size_t region_bytes(std::size_t num_ranks, std::size_t half_bytes) {
    return header_bytes() + 2 * num_ranks * half_bytes;
}

// Not FUTEX_PRIVATE: the word is shared between processes.
long futex(const std::atomic<std::uint32_t>& word,
           int operation,
           std::uint32_t value,
           const timespec* limit) {
    return ::syscall(SYS_futex, &word, operation, value, limit, nullptr, 0);
}

}  // namespace

void wait_on(const std::atomic<std::uint32_t>& word, std::uint32_t seen, int limit_ms) {
    const timespec limit{limit_ms / 1000, long{limit_ms % 1000} * 1'000'000};
    (void)futex(word, FUTEX_WAIT, seen, &limit);
}

void wake_all(std::atomic<std::uint32_t>& word) {
    (void)futex(word, FUTEX_WAKE, kMaxShmRanks, nullptr);
}

void ShmRegion::Unmap::operator()(void* memory) const {
    ::munmap(memory, size);
}

Result<UniqueFd> ShmRegion::create(int num_ranks, std::size_t half_bytes) {
    CHECK(num_ranks > 0 && num_ranks <= kMaxShmRanks && half_bytes > 0);
    half_bytes = (half_bytes + kPage - 1) / kPage * kPage;
    UniqueFd fd(::memfd_create("turnpike-ranks", MFD_CLOEXEC));
    if (!fd.is_open()) return errno_error("memfd_create");
    const std::size_t size = region_bytes(static_cast<std::size_t>(num_ranks), half_bytes);
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
        return errno_error("making shared memory of " + std::to_string(size) + " bytes");
    const std::uint64_t words[] = {kMagic, static_cast<std::uint64_t>(num_ranks), half_bytes};
    if (::pwrite(fd.get(), words, sizeof words, 0) != static_cast<ssize_t>(sizeof words))
        return errno_error("writing shared memory");
    return fd;
}

Result<ShmRegion> ShmRegion::map(int fd) {
    struct stat info {};

    if (::fstat(fd, &info) != 0) return errno_error("reading the ranks' shared memory");
    const auto size = static_cast<std::size_t>(info.st_size);
    const Error foreign{
        ErrorCode::kCorrupt, "expected the shared memory of ranks, found something else", {}};
    if (size < header_bytes()) return foreign;
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return errno_error("mapping the ranks' shared memory");
    ShmRegion region(std::unique_ptr<void, Unmap>(memory, Unmap{size}));
    const ShmHeader& header = region.header();
    const bool is_ours = header.magic == kMagic && header.num_ranks > 0 &&
                         header.num_ranks <= kMaxShmRanks && header.half_bytes <= size &&
                         region_bytes(header.num_ranks, header.half_bytes) == size;
    if (!is_ours) return foreign;
    return region;
}

std::byte* ShmRegion::half(int rank, std::uint32_t number) const {
    const auto index = static_cast<std::size_t>(rank) * 2 + number % 2;
    return static_cast<std::byte*>(memory_.get()) + header_bytes() + index * half_bytes();
}

void ShmRegion::fail(const std::string& reason) const {
    ShmHeader& shared = header();
    std::uint32_t none = 0;
    if (shared.failure.compare_exchange_strong(none, kWriting)) {
        const std::size_t length = std::min(reason.size(), sizeof shared.reason - 1);
        std::memcpy(shared.reason, reason.data(), length);
        shared.failure.store(kFailed);
    }
    for (int rank = 0; rank < num_ranks(); ++rank) wake_all(place(rank).published);
}

Status ShmRegion::status() const {
    std::uint32_t failure = header().failure.load();
    if (failure == 0) return {};
    for (int i = 0; failure == kWriting && i < kMaxYields; ++i) {
        ::sched_yield();
        failure = header().failure.load();
    }
    // Who was killed while writing leaves no reason that could be read.
    std::string text;
    if (failure == kFailed) {
        const char* reason = header().reason;
        text.assign(reason, ::strnlen(reason, sizeof header().reason));
    }
    if (text.empty()) text = "a rank failed";
    return Error{ErrorCode::kUnavailable, std::move(text), {}};
}

}  // namespace turnpike::engine
