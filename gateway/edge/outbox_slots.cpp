#include "gateway/edge/outbox_slots.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "gateway/edge/share_file.h"

namespace turnpike::gateway {
namespace {

// Each needs a gateway that still ends its streams.
constexpr int kMaxSlots = 64;

std::string serving_path(const std::string& dir) {
    return dir + "/serving";
}

std::string slot_path(const std::string& dir, int number) {
    return number == 1 ? dir : dir + "/" + std::to_string(number);
}

}  // namespace

Result<UniqueFd> lock_serving(const std::string& dir) {
    std::error_code problem;
    std::filesystem::create_directories(dir, problem);
    if (problem) {
        return Error{ErrorCode::kIo, "cannot create " + dir + ": " + problem.message(), {}};
    }
    const std::string path = serving_path(dir);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.is_open()) return errno_error("cannot open " + path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK) return errno_error("cannot lock " + path);
    return Error{ErrorCode::kConflict,
                 "another gateway uses the outbox " + dir + ": give each gateway its own",
                 {}};
}

bool is_serving_lock(const UniqueFd& lock, const std::string& dir) {
    struct stat given {};

    struct stat wanted {};

    return lock.is_open() && ::fstat(lock.get(), &given) == 0 &&
           ::stat(serving_path(dir).c_str(), &wanted) == 0 && given.st_dev == wanted.st_dev &&
           given.st_ino == wanted.st_ino;
}

std::vector<std::string> list_slots(const std::string& dir) {
    std::vector<std::string> slots;
    for (int number = 1; number <= kMaxSlots; ++number) {
        std::string slot = slot_path(dir, number);
        std::error_code ignored;  // then it is not there for us
        if (std::filesystem::is_directory(slot, ignored)) slots.push_back(std::move(slot));
    }
    return slots;
}

bool is_slot_free(const std::string& slot) {
    const UniqueFd fd(::open((slot + "/lock").c_str(), O_RDWR | O_CLOEXEC));
    return !fd.is_open() || ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

Result<std::unique_ptr<Outbox>> open_free_slot(const OutboxOptions& options,
                                               const Clock& clock,
                                               Log& log) {
    struct Candidate {
        std::int64_t share_ppm = 0;
        int number = 0;
    };

    std::vector<Candidate> candidates;
    for (int number = 1; number <= kMaxSlots; ++number) {
        // What it cannot read, the outbox cannot either, and says so.
        const auto share_ppm = load_share(slot_path(options.dir, number));
        candidates.push_back({share_ppm ? *share_ppm : 0, number});
    }
    std::stable_sort(
        candidates.begin(), candidates.end(),
        [](const Candidate& a, const Candidate& b) { return a.share_ppm > b.share_ppm; });
    for (const Candidate& candidate : candidates) {
        OutboxOptions slot = options;
        slot.dir = slot_path(options.dir, candidate.number);
        auto outbox = Outbox::open(std::move(slot), clock, log);
        if (outbox || outbox.error().code != ErrorCode::kConflict) return outbox;
    }
    return Error{ErrorCode::kConflict, "all outboxes in " + options.dir + " are in use", {}};
}

}  // namespace turnpike::gateway
