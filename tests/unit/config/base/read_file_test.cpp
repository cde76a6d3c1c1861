// Files are read whole, and what cannot be read is an error, never an exception.
#include "config/base/read_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace turnpike {
namespace {

TEST(ReadFile, GivesEveryByte) {
    std::string bytes(10000, 'x');
    bytes[4095] = '\0';
    bytes[4096] = '\n';
    const std::string path = testing::TempDir() + "read_file_test_bytes";
    std::ofstream(path, std::ios::binary) << bytes;
    const auto read = read_file("a file", path);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, bytes);
    std::istringstream empty;
    EXPECT_EQ(read_to_end(empty), "");
}

TEST(ReadFile, ADirectoryIsAnError) {
    const auto read = read_file("a card", "/");
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().message, "cannot read a card /: Is a directory");
}

TEST(ReadFile, AMissingFileIsAnError) {
    const auto read = read_file("a card", "/no/such");
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().message, "cannot read a card /no/such: No such file or directory");
}

}  // namespace
}  // namespace turnpike
