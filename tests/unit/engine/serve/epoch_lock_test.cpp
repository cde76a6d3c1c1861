// One engine per lock file, and never an epoch that was given up.
#include "engine/serve/epoch_lock.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace turnpike::engine {
namespace {

class EpochLockTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "lock.XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        dir_ = pattern;
    }

    void TearDown() override { std::filesystem::remove_all(dir_); }

    std::string dir_;
};

TEST_F(EpochLockTest, HoldsOffOthersAndOlderEpochs) {
    const std::string path = dir_ + "/lock";
    {
        const auto first = EpochLock::acquire(path, Epoch(3));
        ASSERT_TRUE(first.has_value());
        EXPECT_EQ(EpochLock::acquire(path, Epoch(4)).error().code, ErrorCode::kConflict);
    }
    EXPECT_EQ(EpochLock::acquire(path, Epoch(2)).error().code, ErrorCode::kConflict);
    EXPECT_TRUE(EpochLock::acquire(path, Epoch(3)).has_value());
    EXPECT_TRUE(EpochLock::acquire(path, Epoch(10)).has_value());
    EXPECT_FALSE(EpochLock::acquire(path, Epoch(9)).has_value());
}

TEST_F(EpochLockTest, DamageAndMissingFoldersAreErrors) {
    std::ofstream(dir_ + "/bad") << "not a number";
    EXPECT_EQ(EpochLock::acquire(dir_ + "/bad", Epoch(1)).error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(EpochLock::acquire(dir_ + "/none/lock", Epoch(1)).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace turnpike::engine
