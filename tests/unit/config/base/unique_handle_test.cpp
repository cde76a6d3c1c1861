// Owners close what they own exactly once, also after a move.
#include "config/base/unique_handle.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace turnpike {
namespace {

struct Counter {
    int num_closed = 0;
};

void close_counter(Counter* counter) {
    ++counter->num_closed;
}

using CounterHandle = UniqueHandle<Counter*, &close_counter>;

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) != -1 || errno != EBADF;
}

TEST(UniqueHandle, ClosesOnceAfterAMove) {
    Counter counter;
    {
        CounterHandle first(&counter);
        const CounterHandle second(std::move(first));
        EXPECT_EQ(first.get(), nullptr);  // NOLINT(clang-analyzer-cplusplus.Move): the promise
        EXPECT_EQ(counter.num_closed, 0);
    }
    EXPECT_EQ(counter.num_closed, 1);
}

TEST(UniqueFd, ClosesAtTheEndOfItsScope) {
    int raw = -1;
    {
        const UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        raw = fd.get();
        ASSERT_TRUE(is_open(raw));
    }
    EXPECT_FALSE(is_open(raw));
}

TEST(UniqueFd, MoveAssignmentClosesTheOldOne) {
    UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    UniqueFd second(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int old_fd = first.get();
    const int new_fd = second.get();
    first = std::move(second);
    EXPECT_FALSE(is_open(old_fd));
    EXPECT_EQ(first.get(), new_fd);
    EXPECT_FALSE(second.is_open());  // NOLINT: a moved-from handle owns nothing, by promise
}

TEST(UniqueFd, ReleaseGivesUpOwnership) {
    int raw = -1;
    {
        UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        raw = fd.release();
    }
    EXPECT_TRUE(is_open(raw));
    ::close(raw);
}

}  // namespace
}  // namespace turnpike
