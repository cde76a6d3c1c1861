// Events and bodies to pieces of text and facts.
#include "gateway/client/answer_reader.h"

#include <gtest/gtest.h>

namespace turnpike::gateway::client {
namespace {

class AnswerReaderTest : public testing::Test {
  protected:
    bool take(std::string_view data) { return reader_.take_event(data).value(); }

    std::string seen_;
    bool wants_more_ = true;
    AnswerReader reader_{[this](PieceKind kind, std::string_view text) {
        seen_ += (kind == PieceKind::kReasoning ? "r:" : "c:") + std::string(text) + "|";
        return wants_more_;
    }};
};

TEST_F(AnswerReaderTest, GivesPiecesAndKeepsTheFacts) {
    EXPECT_TRUE(take(R"({"id":"a","choices":[{"index":0,"delta":{"role":"assistant"}}]})"));
    EXPECT_TRUE(take(R"({"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]})"));
    EXPECT_TRUE(take(R"({"choices":[{"index":0,"delta":{"content":"Hi","reasoning":"!"}}]})"));
    EXPECT_TRUE(take(R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})"));
    EXPECT_TRUE(take(R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}})"));
    EXPECT_FALSE(reader_.is_done());
    EXPECT_TRUE(take("[DONE]"));
    EXPECT_TRUE(reader_.is_done());
    EXPECT_EQ(seen_, "r:hm|r:!|c:Hi|");
    EXPECT_EQ(reader_.facts().request_id, "a");
    EXPECT_EQ(reader_.facts().content, "Hi");
    EXPECT_EQ(reader_.facts().finish_reason, engine::FinishReason::kLength);
    EXPECT_EQ(reader_.facts().usage, (TokenUsage{7, 0, 3, 0}));
}

TEST_F(AnswerReaderTest, OtherChoicesAreNotMixedIn) {
    EXPECT_TRUE(take(R"({"choices":[{"index":1,"delta":{"content":"no"}},
                                    {"index":0,"delta":{"content":"yes"}}]})"));
    EXPECT_EQ(seen_, "c:yes|");
}

TEST_F(AnswerReaderTest, SaysWhatIsNoEvent) {
    EXPECT_EQ(reader_.take_event("{").error().code, ErrorCode::kCorrupt);
    const auto told = reader_.take_event(R"({"error":{"message":"the engine died"}})");
    EXPECT_EQ(told.error().message, "the engine died");
}

TEST_F(AnswerReaderTest, SaysWhenNoMoreIsWanted) {
    wants_more_ = false;
    EXPECT_FALSE(take(R"({"choices":[{"index":0,"delta":{"content":"x"}}]})"));
    EXPECT_EQ(reader_.facts().content, "x");
}

TEST_F(AnswerReaderTest, ReadsAWholeAnswer) {
    const auto taken = reader_.take_answer(
        R"({"id":"a","choices":[{"message":{"content":"Hi","reasoning":"hm"},
            "finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}})");
    EXPECT_TRUE(taken.value());
    EXPECT_TRUE(reader_.is_done());
    EXPECT_EQ(seen_, "r:hm|c:Hi|");
    EXPECT_EQ(reader_.facts().request_id, "a");
    EXPECT_EQ(reader_.facts().usage, (TokenUsage{7, 0, 3, 0}));
}

TEST_F(AnswerReaderTest, AWholeAnswerHasAChoice) {
    EXPECT_EQ(reader_.take_answer("no JSON").error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(reader_.take_answer(R"({"choices":[]})").error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace turnpike::gateway::client
