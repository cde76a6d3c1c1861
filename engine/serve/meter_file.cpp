#include "engine/serve/meter_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "config/base/failpoint.h"

namespace turnpike::engine {

struct MeterFile::Slot {
    char request_id[40];
    std::int64_t prompt;
    std::int64_t cached;
    std::int64_t completion;
    std::int64_t reasoning;
    std::int32_t state;
    std::int32_t zero;
};

namespace {

using Slot = MeterFile::Slot;

constexpr char kMagic[] = "TPMETER1";
constexpr std::size_t kHeaderBytes = 4096;  // a page, so that segments are mapped on their own
constexpr std::size_t kSlotBytes = 80;
// 4,096 slots of 80 bytes are exactly 80 pages.
constexpr std::size_t kSegmentSlots = 4096;
constexpr std::size_t kSegmentBytes = kSegmentSlots * kSlotBytes;

enum State : std::int32_t { kUnused = 0, kOpen = 1, kFinal = 2, kWithdrawn = 3 };

template <class T>
void store(T& target, T value) {
    std::atomic_ref<T>(target).store(value, std::memory_order_release);
}

template <class T>
T load_value(const T& source) {
    return std::atomic_ref<T>(const_cast<T&>(source)).load(std::memory_order_acquire);
}

TokenUsage usage_of(const Slot& slot) {
    return {load_value(slot.prompt), load_value(slot.cached), load_value(slot.completion),
            load_value(slot.reasoning)};
}

}  // namespace

Result<std::unique_ptr<MeterFile>> MeterFile::open(const std::string& path) {
    static_assert(sizeof(Slot) == kSlotBytes);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.is_open()) return errno_error("cannot open the meter file " + path);
    std::unique_ptr<MeterFile> file(new MeterFile(std::move(fd), path));
    RETURN_IF_ERROR(file->load());
    return file;
}

MeterFile::~MeterFile() {
    for (Slot* segment : segments_) ::munmap(segment, kSegmentBytes);
}

Status MeterFile::load() {
    struct stat info {};

    if (::fstat(fd_.get(), &info) != 0) return errno_error("cannot read the meter file " + path_);
    char magic[sizeof kMagic - 1] = {};
    if (info.st_size == 0) {
        if (::pwrite(fd_.get(), kMagic, sizeof magic, 0) != static_cast<ssize_t>(sizeof magic)) {
            return errno_error("cannot write the meter file " + path_);
        }
    } else if (::pread(fd_.get(), magic, sizeof magic, 0) != static_cast<ssize_t>(sizeof magic) ||
               std::memcmp(magic, kMagic, sizeof magic) != 0) {
        return Error{ErrorCode::kCorrupt,
                     path_ + " is no meter file: expected it to begin with TPMETER1",
                     {}};
    }
    const auto size = static_cast<std::size_t>(info.st_size);
    const std::size_t num_segments =
        size > kHeaderBytes ? (size - kHeaderBytes) / kSegmentBytes : 0;
    for (std::size_t i = 0; i < num_segments; ++i) RETURN_IF_ERROR(map_segment());
    for (std::size_t i = 0; i < num_segments * kSegmentSlots; ++i) {
        Slot& slot = slot_at(i);
        if (slot.state == kUnused) break;
        num_slots_ = i + 1;
        if (slot.state == kWithdrawn) {
            withdrawn_.push_back(&slot);
            continue;
        }
        if (slot.state == kOpen) store(slot.state, std::int32_t{kFinal});
        const std::size_t length = ::strnlen(slot.request_id, sizeof slot.request_id);
        by_id_.emplace(std::string(slot.request_id, length), &slot);
    }
    return {};
}

Status MeterFile::map_segment() {
    const std::size_t offset = kHeaderBytes + segments_.size() * kSegmentBytes;
    // Allocated, not sparse: a full disk must fail here and not as a signal in mid-step.
    if (const int problem = ::posix_fallocate(fd_.get(), static_cast<off_t>(offset), kSegmentBytes);
        problem != 0) {
        errno = problem;
        return errno_error("cannot grow the meter file " + path_);
    }
    void* mapped = ::mmap(nullptr, kSegmentBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(),
                          static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) return errno_error("cannot map the meter file " + path_);
    segments_.push_back(static_cast<Slot*>(mapped));
    return {};
}

Result<Slot*> MeterFile::begin(const std::string& request_id, const TokenUsage& usage) {
    if (request_id.empty() || request_id.size() >= sizeof Slot::request_id) {
        return invalid_argument(
            "expected a request id of 1 to 39 bytes, found " + std::to_string(request_id.size()),
            "x-request-id");
    }
    const std::lock_guard lock(mutex_);
    if (by_id_.contains(request_id)) {
        return Error{ErrorCode::kConflict,
                     "request " + request_id + " was served before; ids must not repeat",
                     {}};
    }
    const auto slot = take_slot();
    RETURN_IF_ERROR(slot);
    // A slot of before may hold a longer id: one that was withdrawn, or whose writer was killed
    // right here.
    std::memset((*slot)->request_id, 0, sizeof Slot::request_id);
    std::memcpy((*slot)->request_id, request_id.data(), request_id.size());
    update(**slot, usage);
    store((*slot)->state, std::int32_t{kOpen});
    by_id_.emplace(request_id, *slot);
    pass_failpoint(Failpoint::kMeterOpened);
    return *slot;
}

MeterFile::Slot& MeterFile::slot_at(std::size_t index) const {
    return segments_[index / kSegmentSlots][index % kSegmentSlots];
}

Result<Slot*> MeterFile::take_slot() {
    if (!withdrawn_.empty()) {
        Slot* slot = withdrawn_.back();
        withdrawn_.pop_back();
        return slot;
    }
    if (num_slots_ == segments_.size() * kSegmentSlots) RETURN_IF_ERROR(map_segment());
    return &slot_at(num_slots_++);
}

void MeterFile::withdraw(Slot& slot) {
    const std::lock_guard lock(mutex_);
    store(slot.state, std::int32_t{kWithdrawn});
    by_id_.erase(std::string(slot.request_id, ::strnlen(slot.request_id, sizeof slot.request_id)));
    withdrawn_.push_back(&slot);
}

void MeterFile::update(Slot& slot, const TokenUsage& usage) {
    store(slot.prompt, usage.prompt_tokens);
    store(slot.cached, usage.cached_tokens);
    store(slot.completion, usage.completion_tokens);
    store(slot.reasoning, usage.reasoning_tokens);
}

void MeterFile::finish(Slot& slot) {
    store(slot.state, std::int32_t{kFinal});
    pass_failpoint(Failpoint::kMeterClosed);
}

std::optional<MeterEntry> MeterFile::find(const std::string& request_id) const {
    const std::lock_guard lock(mutex_);
    const auto entry = by_id_.find(request_id);
    if (entry == by_id_.end()) return {};
    // The state first: final counts do not change any more.
    const bool is_final = load_value(entry->second->state) == kFinal;
    return MeterEntry{request_id, usage_of(*entry->second), is_final};
}

MeterTotals MeterFile::totals() const {
    // Slots stay where they are, so only their list is copied under the lock: nobody who begins a
    // request waits for a sum over millions.
    std::vector<Slot*> segments;
    std::size_t num_slots = 0;
    {
        const std::lock_guard lock(mutex_);
        segments = segments_;
        num_slots = num_slots_;
    }
    MeterTotals totals;
    for (std::size_t i = 0; i < num_slots; ++i) {
        const Slot& slot = segments[i / kSegmentSlots][i % kSegmentSlots];
        const std::int32_t state = load_value(slot.state);
        if (state != kOpen && state != kFinal) continue;
        const TokenUsage usage = usage_of(slot);
        ++totals.num_requests;
        totals.num_open += state == kOpen ? 1 : 0;
        totals.usage.prompt_tokens += usage.prompt_tokens;
        totals.usage.cached_tokens += usage.cached_tokens;
        totals.usage.completion_tokens += usage.completion_tokens;
        totals.usage.reasoning_tokens += usage.reasoning_tokens;
    }
    return totals;
}

}  // namespace turnpike::engine
