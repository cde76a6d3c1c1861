// Log-probabilities: which shape a request asks for, and both shapes byte for byte.
#include <gtest/gtest.h>

#include <limits>

#include "engine/api/codec.h"
#include "engine/api/logprobs_json.h"

namespace turnpike::engine {
namespace {

CommonRequest chat(const std::string& members) {
    return parse_chat_request(R"({"model":"m","messages":[{"role":"user","content":"u"}],)" +
                              members + "}")
        .value();
}

TEST(Logprobs, TheQuestionChoosesTheShape) {
    EXPECT_FALSE(chat(R"("logprobs":false)").top_logprobs.has_value());
    const CommonRequest objects = chat(R"("logprobs":true,"top_logprobs":5)");
    EXPECT_EQ(objects.top_logprobs, 5);
    EXPECT_EQ(objects.logprobs_shape, LogprobsShape::kContent);
    EXPECT_EQ(chat(R"("logprobs":true)").top_logprobs, 0);
    const CommonRequest arrays = chat(R"("logprobs":3)");
    EXPECT_EQ(arrays.top_logprobs, 3);
    EXPECT_EQ(arrays.logprobs_shape, LogprobsShape::kArrays);
    for (const char* members : {R"("logprobs":true)", R"("logprobs":0)"}) {
        const auto request =
            parse_completion_request(std::string(R"({"model":"m","prompt":"p",)") + members + "}");
        EXPECT_EQ(request.value().top_logprobs, 0);
        EXPECT_EQ(request.value().logprobs_shape, LogprobsShape::kArrays);
    }
}

TEST(Logprobs, RequestsReadBack) {
    for (const char* members : {R"("logprobs":3)", R"("logprobs":true,"top_logprobs":3)"}) {
        ChatRequest request;
        static_cast<CommonRequest&>(request) = chat(members);
        request.messages.push_back({Role::kUser, "u", {}, {}, {}});
        const ChatRequest again = parse_chat_request(write_chat_request(request)).value();
        EXPECT_EQ(again.top_logprobs, request.top_logprobs);
        EXPECT_EQ(again.logprobs_shape, request.logprobs_shape);
    }
}

Logprobs two_tokens(LogprobsShape shape) {
    return {shape,
            {{{7, "a\"", -0.5F}, {{7, "a\"", -0.5F}, {8, "b", -1.25F}}},
             {{9, "\xF0\x9F", -2.0F},
              {{9, "\xF0\x9F", -2.0F}, {5, "c", -std::numeric_limits<float>::infinity()}}}}};
}

TEST(Logprobs, TheFirstTokenOfAPromptHasNone) {
    Logprobs logprobs = two_tokens(LogprobsShape::kArrays);
    logprobs.tokens[0].has_logprob = false;
    logprobs.tokens[1].alternatives = {{5, "c", -1.0F}};
    std::string out = "{";
    append_logprobs(out, logprobs);
    EXPECT_EQ(out, R"({"logprobs":{"token_ids":[7,9],"tokens":["a\"","\\xf0\\x9f"],)"
                   R"("token_logprobs":[null,-2],"top_logprobs":[null,{"c":-1}]})");
    logprobs.shape = LogprobsShape::kContent;
    out = "{";
    append_logprobs(out, logprobs);
    EXPECT_NE(out.find(R"("token":"a\"","bytes":[97,34],"logprob":null)"), std::string::npos);
}

TEST(Logprobs, ContentIsTheFormOfOpenAi) {
    std::string out = "{";
    append_logprobs(out, two_tokens(LogprobsShape::kContent));
    EXPECT_EQ(out, R"({"logprobs":{"content":[{"token":"a\"","bytes":[97,34],"logprob":-0.5,)"
                   R"("top_logprobs":[{"token":"a\"","bytes":[97,34],"logprob":-0.5},)"
                   R"({"token":"b","bytes":[98],"logprob":-1.25}]},)"
                   R"({"token":"\\xf0\\x9f","bytes":[240,159],"logprob":-2,)"
                   R"("top_logprobs":[{"token":"\\xf0\\x9f","bytes":[240,159],"logprob":-2},)"
                   R"({"token":"c","bytes":[99],"logprob":-9999}]}],"refusal":null})");
}

TEST(Logprobs, ArraysAreTheFormOfTogether) {
    std::string out = "{";
    append_logprobs(out, two_tokens(LogprobsShape::kArrays));
    EXPECT_EQ(out, R"({"logprobs":{"token_ids":[7,9],"tokens":["a\"","\\xf0\\x9f"],)"
                   R"("token_logprobs":[-0.5,-2],"top_logprobs":[{"a\"":-0.5,"b":-1.25},)"
                   R"({"\\xf0\\x9f":-2,"c":-9999}]})");
}

TEST(Logprobs, NothingIsNullAndNoAlternativesAreNull) {
    std::string out = "{";
    append_logprobs(out, std::nullopt);
    EXPECT_EQ(out, R"({"logprobs":null)");
    out = "{";
    append_logprobs(out, Logprobs{LogprobsShape::kArrays, {{{1, "x", -1.0F}, {}}}});
    EXPECT_EQ(out, R"({"logprobs":{"token_ids":[1],"tokens":["x"],"token_logprobs":[-1],)"
                   R"("top_logprobs":null})");
    out = "{";
    append_logprobs(out, Logprobs{LogprobsShape::kArrays,
                                  {{{1, "x", -1.0F}, {{1, "x", -1.0F}, {2, "x", -3.0F}}}}});
    EXPECT_TRUE(out.ends_with(R"("top_logprobs":[{"x":-1}]})")) << out;
}

TEST(Logprobs, StandInAnswersAndChunks) {
    Answer answer;
    answer.choices.resize(1);
    answer.choices[0].logprobs = two_tokens(LogprobsShape::kArrays);
    EXPECT_NE(write_chat_answer(answer).find(R"("logprobs":{"token_ids":[7,9])"),
              std::string::npos);
    Chunk chunk;
    chunk.choices.resize(1);
    chunk.choices[0].logprobs = two_tokens(LogprobsShape::kContent);
    EXPECT_NE(write_chat_chunk(chunk).find(R"("logprobs":{"content":[{"token")"),
              std::string::npos);
}

}  // namespace
}  // namespace turnpike::engine
