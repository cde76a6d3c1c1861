// No control character but line ends and tabs reaches a terminal, in whatever encoding.
#include "gateway/client/terminal.h"

#include <gtest/gtest.h>

namespace turnpike::gateway::client {
namespace {

TEST(EscapeControls, LeavesTextAlone) {
    EXPECT_EQ(escape_controls(""), "");
    EXPECT_EQ(escape_controls("a\tb\n~ \\x1b"), "a\tb\n~ \\x1b");
    const std::string text = "\u00a0\u00e9\u4f60\u597d\U0001f600\u07ff\uffff\U0010ffff";
    EXPECT_EQ(escape_controls(text), text);
}

TEST(EscapeControls, ShowsEveryOtherControlCharacter) {
    for (int byte = 0; byte < 0x20; ++byte) {
        if (byte == '\n' || byte == '\t') continue;
        const std::string shown = escape_controls(std::string(1, static_cast<char>(byte)));
        EXPECT_EQ(shown.size(), 4U) << byte;
        EXPECT_EQ(shown.substr(0, 2), "\\x");
        EXPECT_EQ(std::stoi(shown.substr(2), nullptr, 16), byte);
    }
    EXPECT_EQ(escape_controls("\x1b[2J\x7f"), "\\x1b[2J\\x7f");
    EXPECT_EQ(escape_controls("\u0080\u009b\u009f"), "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f");
}

TEST(EscapeControls, ShowsWhatIsNoText) {
    EXPECT_EQ(escape_controls("\x9b"), "\\x9b");                    // a bare C1
    EXPECT_EQ(escape_controls("a\xc3"), "a\\xc3");                  // cut short
    EXPECT_EQ(escape_controls("\xe4\xbd"), "\\xe4\\xbd");           // cut short
    EXPECT_EQ(escape_controls("\xc3\x1b"), "\\xc3\\x1b");           // not continued
    EXPECT_EQ(escape_controls("\xc0\x9b"), "\\xc0\\x9b");           // overlong
    EXPECT_EQ(escape_controls("\xe0\x82\x9b"), "\\xe0\\x82\\x9b");  // overlong
    EXPECT_EQ(escape_controls("\xf0\x80\x82\x9b"), "\\xf0\\x80\\x82\\x9b");
    EXPECT_EQ(escape_controls("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
    EXPECT_EQ(escape_controls("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    EXPECT_EQ(escape_controls("\xf5\xff"), "\\xf5\\xff");
}

}  // namespace
}  // namespace turnpike::gateway::client
