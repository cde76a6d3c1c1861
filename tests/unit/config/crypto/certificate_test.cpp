// What a certificate says of itself, and what is refused.
#include "config/crypto/certificate.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"
#include "tests/support/test_certificate.h"

namespace turnpike::crypto {
namespace {

class CertificateTest : public testing::Test {
  protected:
    CertificateTest() { test::write_test_certificate(crt_, key_); }

    test::TempDir dir_;
    const std::string crt_ = dir_.file("a.crt");
    const std::string key_ = dir_.file("a.key");
};

TEST_F(CertificateTest, TellsNamesAndTimes) {
    const auto certificate = read_certificate(crt_);
    ASSERT_TRUE(certificate.has_value()) << certificate.error().message;
    EXPECT_EQ(certificate->names, (std::vector<std::string>{"localhost", "127.0.0.1"}));
    // The test's certificate begins a minute ago and ends in a day.
    EXPECT_EQ(certificate->not_after - certificate->not_before,
              std::chrono::hours(24) + std::chrono::minutes(1));
    const WallTime now = SystemClock().wall_now();
    EXPECT_LT(certificate->not_before, now);
    EXPECT_GT(certificate->not_after, now);
}

TEST_F(CertificateTest, KnowsItsKeyFromAnother) {
    const std::string other_crt = dir_.file("b.crt");
    const std::string other_key = dir_.file("b.key");
    test::write_test_certificate(other_crt, other_key);
    EXPECT_TRUE(is_key_of(key_, crt_).value());
    EXPECT_FALSE(is_key_of(other_key, crt_).value());
    EXPECT_TRUE(is_key_of(other_key, other_crt).value());
}

TEST_F(CertificateTest, SaysWhichFileIsNone) {
    const std::string junk = dir_.file("junk");
    std::ofstream(junk) << "-----BEGIN NOTHING-----\n";
    const auto read = read_certificate(junk);
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(read.error().message.find(junk), std::string::npos) << read.error().message;
    EXPECT_EQ(read_certificate(dir_.file("absent")).error().code, ErrorCode::kIo);
    EXPECT_EQ(is_key_of(junk, crt_).error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(is_key_of(crt_, crt_).error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(is_key_of(key_, key_).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace turnpike::crypto
