// The slots of an outbox directory: who may serve, and which one a gateway takes.
#include "gateway/edge/outbox_slots.h"

#include <gtest/gtest.h>

#include "config/net/handover.h"
#include "gateway/edge/share_file.h"
#include "tests/support/temp_dir.h"

namespace turnpike::gateway {
namespace {

class OutboxSlotsTest : public testing::Test {
  protected:
    std::unique_ptr<Outbox> open() {
        OutboxOptions options;
        options.dir = dir_;
        auto outbox = open_free_slot(options, clock_, log_);
        EXPECT_TRUE(outbox.has_value()) << outbox.error().message;
        return outbox ? std::move(*outbox) : nullptr;
    }

    test::TempDir folder_;
    const std::string dir_ = folder_.file("outbox");
    SystemClock clock_;
    Log log_{clock_, "test", LogLevel::kError};
};

TEST_F(OutboxSlotsTest, OneServesUntilEveryCopyOfItsLockIsGone) {
    auto lock = lock_serving(dir_);
    ASSERT_TRUE(lock.has_value());
    EXPECT_EQ(lock_serving(dir_).error().code, ErrorCode::kConflict);
    auto copy = net::duplicate(lock->get());
    ASSERT_TRUE(copy.has_value());
    lock->reset();
    EXPECT_EQ(lock_serving(dir_).error().code, ErrorCode::kConflict);
    copy->reset();
    EXPECT_TRUE(lock_serving(dir_).has_value());
}

TEST_F(OutboxSlotsTest, ALockIsOfItsDirectory) {
    const auto lock = lock_serving(dir_);
    const auto other = lock_serving(folder_.file("other"));
    EXPECT_TRUE(is_serving_lock(*lock, dir_));
    EXPECT_FALSE(is_serving_lock(*other, dir_));
    EXPECT_FALSE(is_serving_lock(UniqueFd(), dir_));
}

TEST_F(OutboxSlotsTest, EachHasItsOwnAndTheLowestFreeOneIsTaken) {
    auto first = open();
    auto second = open();
    const auto third = open();
    EXPECT_EQ(first->dir(), dir_);
    EXPECT_EQ(second->dir(), dir_ + "/2");
    EXPECT_EQ(third->dir(), dir_ + "/3");
    EXPECT_NE(first->id(), second->id());
    EXPECT_EQ(list_slots(dir_), (std::vector<std::string>{dir_, dir_ + "/2", dir_ + "/3"}));
    EXPECT_FALSE(is_slot_free(dir_ + "/2"));
    const std::string id = second->id();
    second.reset();
    EXPECT_TRUE(is_slot_free(dir_ + "/2"));
    EXPECT_EQ(open()->id(), id);
}

TEST_F(OutboxSlotsTest, AGatewayThatStartsAgainKeepsItsShareOfTheLimits) {
    auto first = open();
    auto second = open();
    ASSERT_TRUE(save_share(first->dir(), 0).has_value());
    ASSERT_TRUE(save_share(second->dir(), 1'000'000).has_value());
    first.reset();
    second.reset();
    EXPECT_EQ(open()->dir(), dir_ + "/2");
}

}  // namespace
}  // namespace turnpike::gateway
