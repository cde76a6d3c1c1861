// Thought and answer by token id, in every way that a model may begin and end a thought.
#include "engine/text/reasoning_splitter.h"

#include <gtest/gtest.h>

#include <vector>

namespace turnpike::engine::text {
namespace {

constexpr ReasoningTokens kTokens{100, 101, 102};
using Start = ReasoningSplitter::Start;

std::string roles(Start start, const std::vector<TokenId>& tokens) {
    ReasoningSplitter splitter(kTokens, start);
    std::string seen;
    for (const TokenId token : tokens) {
        const TokenRole role = splitter.push(token);
        seen += role == TokenRole::kReasoning ? 'r' : role == TokenRole::kContent ? 'c' : 't';
    }
    return seen;
}

TEST(ReasoningSplitter, ThinksWithAndWithoutAnOpeningTag) {
    EXPECT_EQ(roles(Start::kReasoning, {100, 1, 2, 101, 3}), "trrtc");
    EXPECT_EQ(roles(Start::kReasoning, {1, 2, 101, 3}), "rrtc");
    EXPECT_EQ(roles(Start::kReasoning, {1, 2, 3}), "rrr");
}

TEST(ReasoningSplitter, TagsInTheAnswerAreText) {
    EXPECT_EQ(roles(Start::kReasoning, {101, 1, 100, 101, 2}), "tcccc");
}

TEST(ReasoningSplitter, AToolCallEndsAnUnclosedThought) {
    EXPECT_EQ(roles(Start::kReasoning, {1, 102, 2}), "rcc");
}

TEST(ReasoningSplitter, AfterToolResultsTheFirstTokenDecides) {
    EXPECT_EQ(roles(Start::kUndecided, {100, 1, 101, 2}), "trtc");
    EXPECT_EQ(roles(Start::kUndecided, {1, 100, 2}), "ccc");
}

TEST(ReasoningSplitter, WithoutAParserAllIsContent) {
    EXPECT_EQ(roles(Start::kContent, {100, 1, 101}), "ccc");
}

}  // namespace
}  // namespace turnpike::engine::text
