// What the ranks are told of a failure, however far its reason came.
#include "engine/parallel/shm_region.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <string_view>

namespace turnpike::engine {
namespace {

void write_at(int fd, std::size_t place, std::string_view bytes) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(place));
    ASSERT_EQ(written, static_cast<ssize_t>(bytes.size()));
}

TEST(ShmRegion, TheFirstReasonIsKeptAndCutToFit) {
    const auto fd = ShmRegion::create(2, 4096);
    ASSERT_TRUE(fd);
    const auto one = ShmRegion::map(fd->get());
    const auto other = ShmRegion::map(fd->get());
    ASSERT_TRUE(one && other);
    EXPECT_TRUE(other->status());
    one->fail(std::string(2000, 'x'));
    other->fail("a later reason");
    EXPECT_EQ(other->status().error().message, std::string(sizeof(ShmHeader::reason) - 1, 'x'));
}

TEST(ShmRegion, AReasonThatWasNeverFinishedIsNotRead) {
    const auto fd = ShmRegion::create(2, 4096);
    ASSERT_TRUE(fd);
    const auto region = ShmRegion::map(fd->get());
    ASSERT_TRUE(region);
    const std::uint32_t being_written = 1;
    write_at(fd->get(), offsetof(ShmHeader, reason), "the wei");
    write_at(fd->get(), offsetof(ShmHeader, failure),
             {reinterpret_cast<const char*>(&being_written), sizeof being_written});
    const Status status = region->status();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(status.error().message, "a rank failed");
}

}  // namespace
}  // namespace turnpike::engine
