#include "gateway/edge/outbox_segment.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "gateway/edge/files.h"

namespace turnpike::gateway {
namespace {

constexpr std::string_view kPrefix = "segment-";
constexpr std::string_view kSuffix = ".log";
constexpr std::size_t kReserveStepBytes = 1024 * 1024;

}  // namespace

FileOps FileOps::system() {
    return FileOps{[](int fd, const void* bytes, std::size_t num_bytes) {
                       return ::write(fd, bytes, num_bytes);
                   },
                   [](int fd) { return ::fdatasync(fd); },
                   [](int fd, off_t offset, off_t num_bytes) {
                       return ::fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, num_bytes);
                   }};
}

std::string segment_path(const std::string& dir, std::int64_t number) {
    std::array<char, 32> digits{};
    std::snprintf(digits.data(), digits.size(), "%016lld", static_cast<long long>(number));
    return dir + "/" + std::string(kPrefix) + digits.data() + std::string(kSuffix);
}

Result<std::vector<std::int64_t>> list_segments(const std::string& dir) {
    std::vector<std::int64_t> numbers;
    std::error_code problem;
    for (const auto& entry : std::filesystem::directory_iterator(dir, problem)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
        std::int64_t number = 0;
        const char* end = name.data() + name.size() - kSuffix.size();
        const auto [rest, error] = std::from_chars(name.data() + kPrefix.size(), end, number);
        if (error == std::errc() && rest == end) numbers.push_back(number);
    }
    if (problem) {
        return Error{ErrorCode::kIo, "cannot list " + dir + ": " + problem.message(), {}};
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

Result<std::unique_ptr<Segment>> Segment::create(const std::string& dir,
                                                 std::int64_t number,
                                                 const FileOps& ops) {
    const std::string path = segment_path(dir, number);
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
    if (!fd.is_open()) return errno_error("cannot create " + path);
    RETURN_IF_ERROR(sync_directory(dir));
    return std::unique_ptr<Segment>(new Segment(number, std::move(fd), ops));
}

Status Segment::reserve(std::size_t num_bytes) {
    while (reserved_end_ < size_ + num_bytes) {
        const int result = ops_.reserve(fd_.get(), static_cast<off_t>(reserved_end_),
                                        static_cast<off_t>(kReserveStepBytes));
        if (result == 0) {
            reserved_end_ += kReserveStepBytes;
        } else if (errno == EOPNOTSUPP) {
            reserved_end_ = SIZE_MAX;  // this file system cannot promise space; appends may fail
        } else if (errno != EINTR) {
            return errno_error("cannot reserve space for the usage outbox");
        }
    }
    return {};
}

Status Segment::append(std::string_view bytes) {
    if (is_broken_) return Error{ErrorCode::kIo, "the usage outbox's segment is broken", {}};
    ssize_t written = -1;
    do {
        written = ops_.write(fd_.get(), bytes.data(), bytes.size());
    } while (written < 0 && errno == EINTR);
    if (written == static_cast<ssize_t>(bytes.size())) {
        size_ += bytes.size();
        return {};
    }
    if (written >= 0) errno = ENOSPC;  // a short write is how a full disk begins
    const Error error = errno_error("cannot append to the usage outbox");
    // Half an entry in the middle of a segment would hide all entries behind it.
    if (written > 0 && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) is_broken_ = true;
    return error;
}

Status Segment::sync() const {
    if (ops_.sync(fd_.get()) != 0) return errno_error("cannot flush the usage outbox");
    return {};
}

}  // namespace turnpike::gateway
