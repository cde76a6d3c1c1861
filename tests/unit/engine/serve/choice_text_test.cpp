// Tokens to a client's text: thought apart from answer, and stop strings over token borders.
#include "engine/serve/choice_text.h"

#include <gtest/gtest.h>

#include "engine/text/synth_tokenizer.h"

namespace turnpike::engine {
namespace {

using text::TokenRole;

class ChoiceTextTest : public testing::Test {
  protected:
    const text::Tokenizer tokenizer_ =
        text::Tokenizer::parse(text::synthesize_tokenizer_json(300).value(), "t").value();

    // One token for each byte, so that every border is inside something.
    static void push(ChoiceText& choice,
                     std::string_view bytes,
                     TokenRole role,
                     const text::Tokenizer& tokenizer,
                     ChoiceText::Piece& all) {
        for (const char byte : bytes) {
            const auto tokens =
                tokenizer.encode(std::string_view(&byte, 1), text::SpecialTokens::kPlain);
            ASSERT_EQ(tokens.size(), 1U);
            const ChoiceText::Piece piece = choice.push(tokens.front(), role);
            all.content += piece.content;
            all.reasoning += piece.reasoning;
        }
    }

    ChoiceText::Piece run(const ChoiceTextOptions& options,
                          std::string_view thought,
                          std::string_view content,
                          bool* is_stopped = nullptr) const {
        ChoiceText choice(tokenizer_, options);
        ChoiceText::Piece all;
        push(choice, thought, TokenRole::kReasoning, tokenizer_, all);
        if (!thought.empty()) push(choice, "|", TokenRole::kTag, tokenizer_, all);
        push(choice, content, TokenRole::kContent, tokenizer_, all);
        const ChoiceText::Piece rest = choice.flush();
        if (is_stopped != nullptr) *is_stopped = choice.is_stopped();
        return {all.content + rest.content, all.reasoning + rest.reasoning};
    }
};

TEST_F(ChoiceTextTest, SplitsThoughtFromAnswerAndTrimsWhatStandsBetween) {
    const auto piece = run({{}, true, ReasoningFormat::kSeparate}, "\nI think\n", "\n\nhello\n");
    EXPECT_EQ(piece.reasoning, "I think\n");
    EXPECT_EQ(piece.content, "hello\n");
}

TEST_F(ChoiceTextTest, AStopStringDoesNotBeginBeforeTheLeastLength) {
    ChoiceTextOptions options{{"ab"}, false, ReasoningFormat::kSeparate};
    options.min_tokens = 3;
    bool is_stopped = false;
    EXPECT_EQ(run(options, "", "abababab", &is_stopped).content, "abab");
    EXPECT_TRUE(is_stopped);
    EXPECT_EQ(run(options, "", "ab", &is_stopped).content, "ab");
    EXPECT_FALSE(is_stopped);
}

TEST_F(ChoiceTextTest, WithoutAReasoningParserNothingIsTrimmed) {
    EXPECT_EQ(run({{}, false, ReasoningFormat::kSeparate}, "", "\n\nhello").content, "\n\nhello");
}

TEST_F(ChoiceTextTest, InlineShowsThoughtAndTagInTheContent) {
    const auto piece = run({{}, true, ReasoningFormat::kInline}, "why", "because");
    EXPECT_EQ(piece.content, "why|because");
    EXPECT_EQ(piece.reasoning, "");
}

TEST_F(ChoiceTextTest, AStopStringOverTokenBordersEndsTheAnswer) {
    bool is_stopped = false;
    const ChoiceTextOptions options{{"END"}, true, ReasoningFormat::kSeparate};
    const auto piece = run(options, "think", "one ENtwo END three", &is_stopped);
    EXPECT_EQ(piece.content, "one ENtwo ");
    EXPECT_TRUE(is_stopped);
}

TEST_F(ChoiceTextTest, AStopStringEndsItWhileThinkingToo) {
    bool is_stopped = false;
    const ChoiceTextOptions options{{"END"}, true, ReasoningFormat::kSeparate};
    const auto piece = run(options, "a thought END more", "answer", &is_stopped);
    EXPECT_EQ(piece.reasoning, "a thought ");
    EXPECT_EQ(piece.content, "");
    EXPECT_TRUE(is_stopped);
}

TEST_F(ChoiceTextTest, HalfAStopStringAtTheEndIsText) {
    const ChoiceTextOptions options{{"END"}, true, ReasoningFormat::kSeparate};
    const auto piece = run(options, "tEN", "xE");
    EXPECT_EQ(piece.reasoning, "tEN");
    EXPECT_EQ(piece.content, "xE");
}

TEST_F(ChoiceTextTest, BrokenUtf8IsMendedAtTheEnd) {
    EXPECT_EQ(run({{}, false, ReasoningFormat::kSeparate}, "", "a\xE2\x82").content, "a\uFFFD");
}

}  // namespace
}  // namespace turnpike::engine
