// What servers send, both routes, and what must not be taken for text.
#include "gateway/client/bench/answer_event.h"

#include <gtest/gtest.h>

#include <string>

namespace turnpike::gateway::client::bench {
namespace {

AnswerEvent parse(std::string_view json) {
    return parse_answer_event(json).value();
}

TEST(AnswerEvent, ChatChunks) {
    const AnswerEvent role = parse(R"({"id":"a","choices":[{"index":0,"delta":{"role":"assistant",
        "content":""},"finish_reason":null,"logprobs":null}]})");
    EXPECT_EQ(role.id, "a");
    EXPECT_TRUE(role.has_choice);
    EXPECT_FALSE(role.has_text);
    EXPECT_FALSE(role.error);
    for (const char* name : {"content", "reasoning", "reasoning_content"}) {
        const std::string json = R"({"choices":[{"delta":{")" + std::string(name) + R"(":"x"}}]})";
        EXPECT_TRUE(parse(json).has_text) << name;
    }
    const AnswerEvent last = parse(R"({"choices":[{"delta":{},"finish_reason":"length"}]})");
    EXPECT_EQ(last.finish_reason, "length");
    EXPECT_FALSE(last.has_text);
}

TEST(AnswerEvent, CompletionChunks) {
    EXPECT_TRUE(parse(R"({"choices":[{"text":"x"}]})").has_text);
    EXPECT_FALSE(parse(R"({"choices":[{"text":""}]})").has_text);
}

TEST(AnswerEvent, ReasoningIsTextButNoAnswer) {
    for (const char* name : {"reasoning", "reasoning_content"}) {
        const AnswerEvent event =
            parse(std::string(R"({"choices":[{"delta":{")") + name + R"(":"x"}}]})");
        EXPECT_TRUE(event.has_text) << name;
        EXPECT_FALSE(event.has_answer) << name;
    }
    for (const char* json :
         {R"({"choices":[{"delta":{"content":"x"}}]})", R"({"choices":[{"text":"x"}]})",
          R"({"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{"}}]}}]})"})
        EXPECT_TRUE(parse(json).has_answer) << json;
}

TEST(AnswerEvent, ToolCallsAreText) {
    EXPECT_TRUE(parse(R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c",
        "function":{"name":"f","arguments":"{\"a\""}}]}}]})")
                    .has_text);
}

TEST(AnswerEvent, LogprobsAreNoText) {
    const AnswerEvent event = parse(R"({"choices":[{"delta":{"content":""},"logprobs":{"content":[
        {"token":"x","content":"x","text":"x"}],"text":"x"}}],"text":"x","content":"x"})");
    EXPECT_FALSE(event.has_text);
}

TEST(AnswerEvent, UsageNestedAndFlat) {
    const AnswerEvent nested = parse(R"({"choices":[],"usage":{"prompt_tokens":7,
        "prompt_tokens_details":{"cached_tokens":3},"completion_tokens":5,
        "completion_tokens_details":{"reasoning_tokens":2},"total_tokens":12}})");
    EXPECT_FALSE(nested.has_choice);
    EXPECT_EQ(nested.usage.value(), (TokenUsage{7, 3, 5, 2}));
    EXPECT_EQ(parse(R"({"usage":{"prompt_tokens":7,"cached_tokens":3,"completion_tokens":5}})")
                  .usage.value(),
              (TokenUsage{7, 3, 5, 0}));
    EXPECT_FALSE(parse(R"({"choices":[{"delta":{}}],"usage":null})").usage);
}

TEST(AnswerEvent, WholeAnswers) {
    const AnswerEvent chat = parse(R"({"id":"a","choices":[{"message":{"role":"assistant",
        "content":"hi"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}})");
    EXPECT_TRUE(chat.has_choice);
    EXPECT_TRUE(chat.has_text);
    EXPECT_EQ(chat.finish_reason, "stop");
}

TEST(AnswerEvent, Errors) {
    EXPECT_EQ(parse(R"({"error":{"message":"no","type":"t"}})").error.value(), "no");
    EXPECT_EQ(parse(R"({"error":"no"})").error.value(), "no");
    EXPECT_EQ(parse(R"({"error":{"code":1}})").error.value(), "");
    EXPECT_FALSE(parse(R"({"error":null,"choices":[]})").error);
}

TEST(AnswerEvent, RefusesWhatIsNoObject) {
    for (const char* json : {"", "[]", "1", "{", "{} {}", "nonsense"})
        EXPECT_FALSE(parse_answer_event(json)) << json;
}

TEST(AnswerEvent, DeepNestingIsNotFollowed) {
    const std::string deep = R"({"choices":[{"delta":)" + std::string(100, '[') + R"("x")" +
                             std::string(100, ']') + "}]}";
    EXPECT_FALSE(parse(deep).has_text);
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
