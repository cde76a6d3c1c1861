// Segment: one append-only file of the outbox. An append is whole or nothing; room for entries that
// must not fail later is taken from the file system beforehand.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::gateway {

// The system calls that a full or failing disk refuses, so that tests can be one.
struct FileOps {
    std::function<ssize_t(int fd, const void* bytes, std::size_t num_bytes)> write;
    std::function<int(int fd)> sync;
    std::function<int(int fd, off_t offset, off_t num_bytes)> reserve;

    static FileOps system();
};

class Segment {
  public:
    // A new, empty file. kIo when it cannot be made.
    static Result<std::unique_ptr<Segment>> create(const std::string& dir,
                                                   std::int64_t number,
                                                   const FileOps& ops);

    std::int64_t number() const { return number_; }

    std::size_t size() const { return size_; }

    // Makes sure that `num_bytes` more can be appended without asking for disk space.
    Status reserve(std::size_t num_bytes);
    // One write(2). After a failure the file is as it was before, or is_broken().
    Status append(std::string_view bytes);
    // fdatasync. Any thread, also while another one appends.
    Status sync() const;

    bool is_broken() const { return is_broken_; }

  private:
    Segment(std::int64_t number, UniqueFd fd, const FileOps& ops)
        : number_(number), fd_(std::move(fd)), ops_(ops) {}

    std::int64_t number_;
    UniqueFd fd_;
    const FileOps& ops_;
    std::size_t size_ = 0;
    std::size_t reserved_end_ = 0;
    bool is_broken_ = false;
};

std::string segment_path(const std::string& dir, std::int64_t number);
// Ascending.
Result<std::vector<std::int64_t>> list_segments(const std::string& dir);

}  // namespace turnpike::gateway
