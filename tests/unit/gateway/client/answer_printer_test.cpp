// Where the pieces of an answer go, and how they look there.
#include "gateway/client/answer_printer.h"

#include <gtest/gtest.h>

namespace turnpike::gateway::client {
namespace {

// Two places that remember what was written.
class AnswerPrinterTest : public testing::Test {
  protected:
    Channel channel(std::string& written, bool is_terminal, bool has_style) {
        return {[this, &written](std::string_view text) {
                    written += text;
                    return is_read_;
                },
                is_terminal, has_style};
    }

    // The two places, in text, after an answer of these pieces.
    bool print(bool is_terminal,
               bool has_style,
               std::string_view reasoning,
               std::string_view content) {
        AnswerPrinter printer(channel(output_, is_terminal, has_style),
                              channel(notes_, true, true));
        return (reasoning.empty() || printer.print(PieceKind::kReasoning, reasoning)) &&
               (content.empty() || printer.print(PieceKind::kContent, content)) && printer.finish();
    }

    bool is_read_ = true;
    std::string output_;
    std::string notes_;
};

TEST_F(AnswerPrinterTest, APipeGetsTheAnswerAlone) {
    EXPECT_TRUE(print(false, false, "hm", "Hi\x1b"));
    EXPECT_EQ(output_, "Hi\x1b\n");
    EXPECT_EQ(notes_, "\x1b[2mhm\x1b[0m\n");
}

TEST_F(AnswerPrinterTest, ATerminalGetsBothApart) {
    EXPECT_TRUE(print(true, true, "hm", "Hi"));
    EXPECT_EQ(output_, "\x1b[2mhm\x1b[0m\n\nHi\n");
    EXPECT_EQ(notes_, "");
}

TEST_F(AnswerPrinterTest, ATerminalWithoutStyleGetsThemPlain) {
    EXPECT_TRUE(print(true, false, "hm\n", "Hi\n"));
    EXPECT_EQ(output_, "hm\n\nHi\n");
}

TEST_F(AnswerPrinterTest, ATerminalGetsNoControlCharacters) {
    EXPECT_TRUE(print(true, false, "\a", "\x1b[2J"));
    EXPECT_EQ(output_, "\\x07\n\n\\x1b[2J\n");
}

TEST_F(AnswerPrinterTest, NothingIsPrintedOfAnEmptyAnswer) {
    EXPECT_TRUE(print(true, true, "", ""));
    EXPECT_EQ(output_ + notes_, "");
    EXPECT_TRUE(print(false, false, "only thoughts", ""));
    EXPECT_EQ(output_, "");
    EXPECT_EQ(notes_, "\x1b[2monly thoughts\x1b[0m\n");
}

TEST_F(AnswerPrinterTest, SaysWhenNobodyReads) {
    is_read_ = false;
    EXPECT_FALSE(print(false, false, "", "x"));
    EXPECT_FALSE(print(true, true, "x", ""));
    EXPECT_FALSE(print(false, false, "x", ""));
}

}  // namespace
}  // namespace turnpike::gateway::client
