// Checksum lists: right ones, wrong ones, and lines that are none.
#include "engine/serve/checksums.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace turnpike::engine {
namespace {

// Of "abc" (FIPS 180-2, appendix B.1) and of nothing.
const std::string kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const std::string kNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

class Checksums : public testing::Test {
  protected:
    Checksums() {
        write("abc.bin", "abc");
        write("empty.bin", "");
    }

    void write(const std::string& name, const std::string& text) {
        std::ofstream(temp_.file(name), std::ios::binary) << text;
    }

    Result<int> check(const std::string& list) {
        write("sums", list);
        return check_checksums(temp_.path().string(), temp_.file("sums"));
    }

    test::TempDir temp_;
};

TEST_F(Checksums, CountsTheFilesThatAreRight) {
    const auto count = check(kAbc + "  abc.bin\n\n" + kNothing + " *empty.bin\n");
    ASSERT_TRUE(count) << count.error().message;
    EXPECT_EQ(*count, 2);
}

TEST_F(Checksums, NamesTheFileThatDiffers) {
    const auto count = check(kAbc + "  abc.bin\n" + kAbc + "  empty.bin\n");
    ASSERT_FALSE(count);
    EXPECT_EQ(count.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(
        count.error().message.find("empty.bin: expected SHA-256 " + kAbc + ", found " + kNothing),
        std::string::npos);
}

TEST_F(Checksums, RefusesLinesThatAreNone) {
    for (const std::string& line :
         {std::string("abc"), kAbc, kAbc + "abc.bin", kAbc + "  ../abc.bin", kAbc + "  /etc/passwd",
          "z" + kAbc.substr(1) + "  abc.bin", std::string("\n")}) {
        const auto count = check(line + "\n");
        ASSERT_FALSE(count) << line;
        EXPECT_EQ(count.error().code, ErrorCode::kCorrupt) << line;
    }
}

TEST_F(Checksums, AMissingFileIsNamed) {
    EXPECT_NE(check(kAbc + "  other.bin\n").error().message.find("other.bin"), std::string::npos);
    EXPECT_EQ(check_checksums("/tmp", "/nonexistent").error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace turnpike::engine
