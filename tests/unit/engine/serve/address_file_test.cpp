// The address of this run, whole, and never that of an earlier one.
#include "engine/serve/address_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "config/base/read_file.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {
namespace {

TEST(AddressFile, HoldsWhatIsListenedOnAndNothingBefore) {
    const test::TempDir dir;
    const std::string path = dir.file("address");
    for (const std::string address : {"tls:10.1.2.3:40000", "tls:[::1]:40001"}) {
        const auto file = AddressFile::prepare(path).value();
        EXPECT_FALSE(std::filesystem::exists(path));
        ASSERT_TRUE(file.write(net::parse_address(address).value()));
        EXPECT_EQ(read_file("address", path).value(), address + "\n");
        EXPECT_FALSE(std::filesystem::exists(path + ".new"));
    }
}

TEST(AddressFile, WithoutAPathNothingIsWritten) {
    const auto file = AddressFile::prepare("").value();
    EXPECT_TRUE(file.write(net::parse_address("tcp:127.0.0.1:1").value()));
    EXPECT_FALSE(std::filesystem::exists(".new"));
}

TEST(AddressFile, WhatCannotBeWrittenIsAnErrorThatNamesIt) {
    const test::TempDir dir;
    const std::string path = dir.file("missing/address");
    const auto file = AddressFile::prepare(path).value();
    const auto written = file.write(net::parse_address("tcp:127.0.0.1:1").value());
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().message.find(path), std::string::npos);
    // A folder in its place is no file of an earlier run.
    EXPECT_FALSE(AddressFile::prepare(dir.file("")));
}

}  // namespace
}  // namespace turnpike::engine
