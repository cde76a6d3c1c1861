// Which protocol numbers of two processes go together.
#include "config/base/protocol.h"

#include <gtest/gtest.h>

#include <string>

namespace turnpike {
namespace {

TEST(Protocol, NeighboursGoTogether) {
    for (const int number : {3, 4, 5})
        EXPECT_TRUE(check_protocol({"gateway", 4}, {"engine", number}).has_value()) << number;
    for (const int number : {1, 2, 6, 7})
        EXPECT_FALSE(check_protocol({"gateway", 4}, {"engine", number}).has_value()) << number;
}

TEST(Protocol, TheOlderOneIsToBeUpgraded) {
    const Status too_old = check_protocol({"gateway", 4}, {"engine", 2});
    ASSERT_FALSE(too_old.has_value());
    EXPECT_EQ(too_old.error().code, ErrorCode::kConflict);
    EXPECT_EQ(too_old.error().message,
              "this gateway speaks protocol 4 and the engine 2, which may differ by one at most: "
              "upgrade the engine");
    const Status too_new = check_protocol({"gateway", 4}, {"engine", 6});
    ASSERT_FALSE(too_new.has_value());
    EXPECT_EQ(too_new.error().message,
              "this gateway speaks protocol 4 and the engine 6, which may differ by one at most: "
              "upgrade the gateway");
}

TEST(Protocol, WithoutAHeaderItIsOne) {
    EXPECT_EQ(parse_protocol(""), 1);
    EXPECT_EQ(parse_protocol("12"), 12);
    EXPECT_TRUE(check_protocol({"engine", 2}, "gateway", "").has_value());
    EXPECT_FALSE(check_protocol({"engine", 3}, "gateway", "").has_value());
}

TEST(Protocol, WhatIsNoNumberIsRefused) {
    for (const std::string text : {"0", "-1", "x", "2x", " 2", "99999999999", "1000001"}) {
        EXPECT_EQ(parse_protocol(text), std::nullopt) << text;
        const Status status = check_protocol({"engine", 2}, "gateway", text);
        ASSERT_FALSE(status.has_value()) << text;
        EXPECT_NE(status.error().message.find(text), std::string::npos);
    }
}

}  // namespace
}  // namespace turnpike
