// What a message may quote of a stranger's text.
#include "config/base/error.h"

#include <gtest/gtest.h>

namespace turnpike {
namespace {

TEST(Excerpt, IsTheTextUntilItIsTooLong) {
    EXPECT_EQ(excerpt(""), "");
    EXPECT_EQ(excerpt("abc", 3), "abc");
    EXPECT_EQ(excerpt("abcd", 3), "abc...");
    EXPECT_EQ(excerpt(std::string(1000, 'x')).size(), 83U);
}

TEST(Excerpt, EndsBetweenCharacters) {
    EXPECT_EQ(excerpt("aéb", 2), "a...");
    EXPECT_EQ(excerpt("aéb", 3), "aé...");
    EXPECT_EQ(excerpt("\xF0\x9F\x98\x80!", 3), "...");
}

}  // namespace
}  // namespace turnpike
