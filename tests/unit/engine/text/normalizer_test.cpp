// Normal forms, and the code points that the models' tokenizers do not normalise.
#include "engine/text/normalizer.h"

#include <gtest/gtest.h>

#include "engine/text/unicode_tables.h"
#include "engine/text/utf8.h"

namespace turnpike::engine::text {
namespace {

TEST(Normalizer, ComposesAndReorders) {
    EXPECT_EQ(to_nfc(""), "");
    EXPECT_EQ(to_nfc("plain é"), "plain é");
    EXPECT_EQ(to_nfc("e\u0301"), "\u00e9");
    EXPECT_EQ(to_nfc("\u212b"), "\u00c5");
    EXPECT_EQ(to_nfc("a\u0301\u0323"), "\u1ea1\u0301");
    EXPECT_EQ(to_nfc("\u1112\u1161\u11ab"), "\ud55c");
}

TEST(Normalizer, LeavesWhatThePackageDoesNotKnow) {
    EXPECT_TRUE(is_unknown_to_normalizer(U'\U00011938'));
    EXPECT_TRUE(is_unknown_to_normalizer(U'\u08d3'));
    EXPECT_FALSE(is_unknown_to_normalizer(U'a'));
    EXPECT_FALSE(is_unknown_to_normalizer(0x10FFFF));
    EXPECT_EQ(to_nfc("\U00011935\U00011930"), "\U00011935\U00011930");
    EXPECT_EQ(to_nfc("a\u0315\u08d3\u0301"), "a\u0315\u08d3\u0301");  // no mark moves across
    EXPECT_EQ(to_nfc("e\u0301\u08d3e\u0301"), "\u00e9\u08d3\u00e9");
}

TEST(Utf8, PrefixesEndAtTheFirstBrokenByte) {
    EXPECT_EQ(valid_utf8_prefix(""), 0U);
    EXPECT_EQ(valid_utf8_prefix("0123456789é🙂"), 16U);
    EXPECT_EQ(valid_utf8_prefix("01234567\xC3"), 8U);
    EXPECT_EQ(valid_utf8_prefix("a\xED\xA0\x80"), 1U);
    EXPECT_EQ(valid_utf8_prefix("\xF4\x90\x80\x80"), 0U);
    EXPECT_EQ(next_utf8("🙂x").code_point, U'🙂');
}

}  // namespace
}  // namespace turnpike::engine::text
