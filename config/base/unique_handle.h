// Move-only owners of foreign handles: UniqueHandle for pointers, UniqueFd for file descriptors.
#pragma once

#include <unistd.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace turnpike {

// using SqliteStatement = UniqueHandle<sqlite3_stmt*, &sqlite3_finalize>;
template <auto Deleter>
struct HandleDeleter {
    template <class T>
    void operator()(T* handle) const {
        Deleter(handle);
    }
};

template <class Pointer, auto Deleter>
using UniqueHandle = std::unique_ptr<std::remove_pointer_t<Pointer>, HandleDeleter<Deleter>>;

class UniqueFd {
  public:
    UniqueFd() = default;

    explicit UniqueFd(int fd) : fd_(fd) {}

    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }

    ~UniqueFd() { reset(); }

    int get() const { return fd_; }

    bool is_open() const { return fd_ >= 0; }

    int release() { return std::exchange(fd_, -1); }

    void reset() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

  private:
    int fd_ = -1;
};

}  // namespace turnpike
