// The pepper file: created once, readable by its owner only, refused when damaged.
#include "config/crypto/pepper.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace turnpike::crypto {
namespace {

class PepperFile : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "pepper.XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        dir_ = pattern;
        path_ = dir_ + "/peppers";
    }

    void TearDown() override { std::filesystem::remove_all(dir_); }

    void write(const std::string& text) {
        std::ofstream(path_) << text;
        ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
    }

    std::string dir_;
    std::string path_;
    const std::string hex_ = std::string(64, 'a');
};

TEST_F(PepperFile, IsCreatedOnceAndLoads) {
    ASSERT_TRUE(create_pepper_file(path_).has_value());
    EXPECT_EQ(create_pepper_file(path_).error().code, ErrorCode::kConflict);
    const Peppers peppers = load_peppers(path_).value();
    EXPECT_EQ(peppers.current(), 1);
    EXPECT_EQ(peppers.by_version.at(1).reveal().size(), 32U);
}

TEST_F(PepperFile, TheNewestVersionIsCurrent) {
    write("1 " + hex_ + "\n7 " + std::string(64, 'b') + "\n");
    EXPECT_EQ(load_peppers(path_).value().current(), 7);
}

TEST_F(PepperFile, DamageIsRefusedWithItsLine) {
    for (const std::string& text :
         {std::string(), std::string("one\n"), "0 " + hex_ + "\n", "1 " + hex_.substr(2) + "\n",
          "1 " + hex_ + "\n1 " + hex_ + "\n"}) {
        write(text);
        const auto peppers = load_peppers(path_);
        ASSERT_FALSE(peppers.has_value()) << text;
        EXPECT_NE(peppers.error().message.find("line"), std::string::npos);
        EXPECT_EQ(peppers.error().message.find(hex_), std::string::npos) << "a secret in an error";
    }
}

TEST_F(PepperFile, ReadableByOthersIsRefused) {
    write("1 " + hex_ + "\n");
    ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
    EXPECT_EQ(load_peppers(path_).error().code, ErrorCode::kPermissionDenied);
}

TEST_F(PepperFile, ACredentialMayBeReadThroughItsGroup) {
    write("1 " + hex_ + "\n");
    ASSERT_EQ(::chmod(path_.c_str(), 0440), 0);
    EXPECT_FALSE(load_peppers(path_));
    ::setenv("CREDENTIALS_DIRECTORY", dir_.c_str(), 1);
    EXPECT_TRUE(load_peppers(path_));
    ASSERT_EQ(::chmod(path_.c_str(), 0444), 0);
    EXPECT_FALSE(load_peppers(path_));
    ::setenv("CREDENTIALS_DIRECTORY", "/elsewhere", 1);
    ASSERT_EQ(::chmod(path_.c_str(), 0440), 0);
    EXPECT_FALSE(load_peppers(path_));
    ::unsetenv("CREDENTIALS_DIRECTORY");
}

TEST_F(PepperFile, MissingSaysItsPath) {
    EXPECT_NE(load_peppers(path_).error().message.find(path_), std::string::npos);
}

}  // namespace
}  // namespace turnpike::crypto
