#include "config/base/failpoint.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "config/base/check.h"
#include "config/base/unique_handle.h"

namespace turnpike {
namespace {

constexpr auto kCount = static_cast<std::size_t>(Failpoint::kNumFailpoints);

constexpr std::array<std::string_view, kCount> kNames = {
    "gateway.segment_started",     "gateway.request_opened",       "gateway.request_closed",
    "gateway.outbox_flushed",      "gateway.count_resolved",       "gateway.usage_acknowledged",
    "gateway.cursor_moved",        "gateway.lease_answered",       "controlplane.usage_committed",
    "controlplane.usage_posting",  "controlplane.usage_posted",    "controlplane.lease_granting",
    "controlplane.lease_granted",  "controlplane.replica_written", "controlplane.replica_started",
    "reconcile.minutes_booked",    "reconcile.target_written",     "reconcile.step_begun",
    "reconcile.step_done",         "reconcile.drain_written",      "reconcile.replica_marked",
    "reconcile.replica_forgotten", "reconcile.endpoint_marked",    "engine.meter_opened",
    "engine.meter_closed"};

struct Record {
    std::array<char, 40> name;
    std::uint64_t num_passes;
    std::uint64_t num_kills;
    std::int64_t armed;
};

static_assert(sizeof(Record) == 64);

Record* records = nullptr;  // set once, before has_failpoints
void (*handler)(Failpoint) = nullptr;

}  // namespace

namespace detail {

std::atomic<bool> has_failpoints{false};

void count_pass(Failpoint point) {
    if (handler != nullptr) return handler(point);
    Record& record = records[static_cast<std::size_t>(point)];
    std::atomic_ref(record.num_passes).fetch_add(1);
    std::atomic_ref<std::int64_t> armed(record.armed);
    std::int64_t left = armed.load();
    while (left > 0 && !armed.compare_exchange_weak(left, left - 1)) {
    }
    if (left != 1) return;
    std::atomic_ref(record.num_kills).fetch_add(1);
    ::kill(::getpid(), SIGKILL);
}

}  // namespace detail

std::string_view to_string(Failpoint point) {
    const auto index = static_cast<std::size_t>(point);
    CHECK(index < kCount);
    return kNames[index];
}

Status open_failpoints(const std::string& path) {
    CHECK(records == nullptr);
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file.is_open()) return errno_error("cannot open the failpoints " + path);
    constexpr std::size_t kBytes = kCount * sizeof(Record);
    if (::ftruncate(file.get(), static_cast<off_t>(kBytes)) != 0)
        return errno_error("cannot size the failpoints " + path);
    void* mapped = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (mapped == MAP_FAILED) return errno_error("cannot map the failpoints " + path);
    records = static_cast<Record*>(mapped);
    // Every process writes the same names.
    for (std::size_t i = 0; i < kCount; ++i)
        std::memcpy(records[i].name.data(), kNames[i].data(), kNames[i].size());
    detail::has_failpoints.store(true);
    return {};
}

void handle_failpoints(void (*new_handler)(Failpoint)) {
    CHECK(records == nullptr);
    handler = new_handler;
    detail::has_failpoints.store(new_handler != nullptr);
}

Status open_failpoints() {
    const char* path = std::getenv("TURNPIKE_FAILPOINTS");
    if (path == nullptr || *path == '\0') return {};
    return open_failpoints(path);
}

}  // namespace turnpike
