// The codec: what is read, which field is blamed, and what answers look like on the wire.
#include "engine/api/codec.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "config/base/limits.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

json chat_body() {
    return {{"model", "m"}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}};
}

std::string blamed(const json& body) {
    const auto request = parse_chat_request(body.dump());
    return request ? "" : request.error().param;
}

TEST(ParseChat, ReadsEveryField) {
    const json body = json::parse(R"({
        "model": "deepseek-ai/DeepSeek-R1", "max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5,
        "top_p": 0.9, "top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1, "presence_penalty": -1,
        "frequency_penalty": 1, "seed": 18446744073709551615, "n": 2, "stop": ["a", "b"], "stream": true,
        "stream_options": {"include_usage": true}, "usage": {"include": true}, "logprobs": true, "top_logprobs": 3, "echo": false,
        "logit_bias": {"5": -100}, "user": "ignored", "response_format": {"type": "text"},
        "reasoning_format": "inline",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "messages": [
            {"role": "developer", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null, "reasoning_content": "r",
             "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]},
            {"role": "tool", "tool_call_id": "c", "content": "t"}]})");
    const ChatRequest request = parse_chat_request(body.dump()).value();
    EXPECT_EQ(request.max_tokens, 7);
    EXPECT_EQ(request.temperature, 0.5F);
    EXPECT_EQ(request.seed, 18446744073709551615U);
    EXPECT_EQ(request.n, 2);
    EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(request.stream && request.include_usage && request.wants_cost);
    EXPECT_EQ(request.top_logprobs, 3);
    EXPECT_EQ(request.logit_bias.at(5), -100.0F);
    EXPECT_EQ(request.reasoning_format, ReasoningFormat::kInline);
    EXPECT_EQ(request.tools.at(0).name, "f");
    ASSERT_EQ(request.messages.size(), 4U);
    EXPECT_EQ(request.messages[0].role, Role::kSystem);
    EXPECT_EQ(request.messages[1].content, "ab");
    EXPECT_EQ(request.messages[2].reasoning, "r");
    EXPECT_EQ(request.messages[2].tool_calls.at(0).arguments, R"({"x":1})");
    EXPECT_EQ(request.messages[3].tool_call_id, "c");
}

TEST(ParseChat, NullIsAbsentAndWhatIsWrittenReadsBack) {
    json body = chat_body();
    for (const char* name :
         {"max_tokens", "temperature", "stop", "seed", "stream", "tools", "logprobs"}) {
        body[name] = nullptr;
    }
    ChatRequest request = parse_chat_request(body.dump()).value();
    EXPECT_FALSE(request.max_tokens.has_value());
    request.temperature = 0.25F;
    request.stop = {"x"};
    request.stream = true;
    const ChatRequest again = parse_chat_request(write_chat_request(request)).value();
    EXPECT_EQ(again.temperature, 0.25F);
    EXPECT_EQ(again.stop, request.stop);
    EXPECT_TRUE(again.stream);
    EXPECT_EQ(again.messages.at(0).content, "hi");
}

TEST(ParseChat, BlamesTheFieldThatIsWrong) {
    const std::vector<std::pair<const char*, const char*>> cases{
        {"model", R"("")"},
        {"model", "3"},
        {"max_tokens", "0"},
        {"max_tokens", R"("5")"},
        {"temperature", "2.1"},
        {"temperature", "-0.1"},
        {"temperature", R"("hot")"},
        {"top_p", "0"},
        {"top_p", "1.01"},
        {"top_k", "-2"},
        {"min_p", "1.5"},
        {"repetition_penalty", "0"},
        {"presence_penalty", "3"},
        {"frequency_penalty", "-3"},
        {"seed", "1.5"},
        {"n", "0"},
        {"n", "129"},
        {"stop", "3"},
        {"stop", R"([""])"},
        {"stream", "1"},
        {"stream_options", "true"},
        {"usage", "true"},
        {"logprobs", "21"},
        {"top_logprobs", "5"},
        {"logit_bias", R"({"x": 1})"},
        {"logit_bias", R"({"1": 101})"},
        {"logit_bias", R"({" 1": 1})"},
        {"logit_bias", R"({"+1": 1})"},
        {"logit_bias", R"({"1\u0000x": 1})"},
        {"messages", "[]"},
        {"messages", R"("hi")"},
        {"tools", "{}"},
        {"response_format", R"({"type": "json_object"})"},
        {"reasoning_format", R"("loud")"}};
    for (const auto& [name, value] : cases) {
        json body = chat_body();
        body[name] = json::parse(value);
        EXPECT_EQ(blamed(body), name) << value;
    }
    json body = chat_body();
    body["messages"][0]["role"] = "king";
    EXPECT_EQ(blamed(body), "messages[0].role");
    body = chat_body();
    body["messages"][0]["content"] = {{{"type", "image_url"}}};
    EXPECT_EQ(blamed(body), "messages[0].content[0]");
    body = chat_body();
    body["messages"].push_back("text");
    EXPECT_EQ(blamed(body), "messages[1]");
    body["stream_options"] = {{"include_usage", 1}};
    EXPECT_NE(blamed(body), "");
}

std::string blamed_message(const char* messages) {
    json body = chat_body();
    body["messages"] = json::parse(messages);
    return blamed(body);
}

TEST(ParseChat, BlamesMessagesThatThePromptHasNoPlaceFor) {
    EXPECT_EQ(blamed_message(R"([{"role":"user"}])"), "messages[0].content");
    EXPECT_EQ(blamed_message(R"([{"role":"user","content":null}])"), "messages[0].content");
    EXPECT_EQ(blamed_message(R"([{"role":"user","content":""}])"), "");
    EXPECT_EQ(blamed_message(R"([{"role":"user","content":"u"},{"role":"assistant"}])"),
              "messages[1].content");
    EXPECT_EQ(blamed_message(R"([{"role":"user","content":"u"},
                                 {"role":"assistant","tool_calls":[]}])"),
              "messages[1].content");
    EXPECT_EQ(blamed_message(R"([{"role":"tool","content":"t"}])"), "messages[0]");
    EXPECT_EQ(blamed_message(R"([{"role":"user","content":"u"},{"role":"assistant","content":"a"},
                                 {"role":"tool","content":"t"}])"),
              "messages[2]");
    EXPECT_EQ(blamed_message(R"([{"role":"user","content":"u","tool_calls":[
                                    {"function":{"name":"f","arguments":"{}"}}]}])"),
              "messages[0].tool_calls");
    EXPECT_EQ(blamed_message(R"([{"role":"user","content":"u"},
                                 {"role":"assistant","content":"a","prefix":true}])"),
              "messages[1].prefix");
    // Several results, system messages between them, consecutive users: all have their place.
    EXPECT_EQ(blamed_message(R"([{"role":"user","content":"u"},{"role":"user","content":"v"},
        {"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","content":"1"},{"role":"system","content":"s"},
        {"role":"tool","content":"2"},{"role":"user","content":"w"}])"),
              "");
}

TEST(ParseChat, BlamesToolCallsThatAreNone) {
    const auto blamed_call = [](const char* call) {
        return blamed_message(
            (R"([{"role":"user","content":"u"},{"role":"assistant","tool_calls":[)" +
             std::string(call) + "]}]")
                .c_str());
    };
    EXPECT_EQ(blamed_call(R"({"function":{"name":"f"}})"), "");
    EXPECT_EQ(blamed_call(R"({"function":{"name":""}})"),
              "messages[1].tool_calls[0].function.name");
    EXPECT_EQ(blamed_call(R"({"type":"code","function":{"name":"f"}})"),
              "messages[1].tool_calls[0].type");
    EXPECT_EQ(blamed_call(R"({"function":{"name":"f","arguments":3}})"),
              "messages[1].tool_calls[0].function.arguments");
}

TEST(ParseChat, RefusesWhatIsNoJsonTooDeepTooLongOrNoUtf8) {
    EXPECT_FALSE(parse_chat_request("").has_value());
    EXPECT_FALSE(parse_chat_request("[1]").has_value());
    EXPECT_FALSE(parse_chat_request("{\"model\":\"\xFF\"}").has_value());
    const std::string deep = "{\"x\":" + std::string(100, '[') + std::string(100, ']') + "}";
    EXPECT_EQ(parse_chat_request(deep).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(parse_chat_request(std::string(limits::kMaxBodyBytes + 1, ' ')).error().code,
              ErrorCode::kTooLarge);
}

TEST(ParseChat, MutatedBodiesNeverCrash) {
    std::mt19937 random(20261123);
    const std::string original = chat_body().dump();
    int num_refused = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string body = original;
        for (int k = 0; k < 3; ++k) body[random() % body.size()] = static_cast<char>(random());
        num_refused += parse_chat_request(body) ? 0 : 1;
        (void)parse_completion_request(body);
        (void)parse_chat_chunk(body);
    }
    EXPECT_GT(num_refused, 10'000);
}

TEST(ParseCompletion, WhatIsWrittenReadsBack) {
    CompletionRequest request;
    request.model = "m";
    request.prompt = std::vector<std::string>{"a", "b"};
    request.echo = true;
    request.max_tokens = 0;
    request.truncates_max_tokens = true;
    request.ignore_eos = true;
    const auto again = parse_completion_request(write_completion_request(request)).value();
    EXPECT_EQ(again.prompt, request.prompt);
    EXPECT_EQ(again.max_tokens, 0);
    EXPECT_TRUE(again.echo && again.truncates_max_tokens && again.ignore_eos);
}

TEST(ParseCompletion, NoListOfTokenIdsIsEmpty) {
    const auto refused = parse_completion_request(R"({"model":"m","prompt":[[1,2],[]]})");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().param, "prompt");
    EXPECT_NE(refused.error().message.find("no list empty"), std::string::npos);
}

TEST(ParseCompletion, TakesTextOrTokenIds) {
    EXPECT_EQ(std::get<std::string>(
                  parse_completion_request(R"({"model":"m","prompt":"p"})").value().prompt),
              "p");
    const auto ids = parse_completion_request(R"({"model":"m","prompt":[1,2]})").value();
    EXPECT_EQ(std::get<std::vector<TokenId>>(ids.prompt), (std::vector<TokenId>{1, 2}));
    const auto texts = parse_completion_request(R"({"model":"m","prompt":["a","b"]})").value();
    EXPECT_EQ(std::get<std::vector<std::string>>(texts.prompt).at(1), "b");
    const auto lists = parse_completion_request(R"({"model":"m","prompt":[[1],[2,3]]})").value();
    EXPECT_EQ(std::get<std::vector<std::vector<TokenId>>>(lists.prompt).at(1).size(), 2U);
    for (const char* prompt : {"[]", "[\"a\",1]", "[[1],\"a\"]", "[-1]", "[[-1]]", "3", "null"}) {
        const auto request =
            parse_completion_request(std::string(R"({"model":"m","prompt":)") + prompt + "}");
        ASSERT_FALSE(request.has_value()) << prompt;
        EXPECT_EQ(request.error().param, "prompt");
    }
}

TEST(WriteAnswer, MatchesThePublicApiByteForByte) {
    Answer answer{"01A", 5, "m", {}, {3, 1, 4, 2}};
    answer.choices.push_back({0, "hi", "think", {}, FinishReason::kLength, 9});
    EXPECT_EQ(
        write_chat_answer(answer),
        R"({"id":"01A","object":"chat.completion","created":5,"model":"m","prompt":[],"choices":[{"index":0,)"
        R"("message":{"role":"assistant","content":"hi","reasoning":"think","reasoning_content":"think",)"
        R"("tool_calls":[]},"logprobs":null,"finish_reason":"length","seed":9}],"usage":{"prompt_tokens":3,)"
        R"("completion_tokens":4,"total_tokens":7,"cached_tokens":1,"reasoning_tokens":2,)"
        R"("prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}})");
    EXPECT_EQ(parse_chat_answer(write_chat_answer(answer)).value().usage, answer.usage);
    const json completion = json::parse(write_completion_answer(answer));
    EXPECT_EQ(completion["object"], "text_completion");
    EXPECT_EQ(completion["choices"][0]["text"], "hi");
}

TEST(WriteChunk, RepeatsTheRoleAndReadsBack) {
    Chunk chunk{"01A", 5, "m", {{0, "t", "", std::nullopt}}, std::nullopt};
    EXPECT_EQ(
        write_chat_chunk(chunk),
        R"({"id":"01A","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,)"
        R"("delta":{"role":"assistant","content":"t"},"logprobs":null,"finish_reason":null}],"usage":null})");
    chunk.choices[0].finish_reason = FinishReason::kStop;
    chunk.usage = TokenUsage{1, 0, 2, 0};
    const Chunk again = parse_chat_chunk(write_chat_chunk(chunk)).value();
    EXPECT_EQ(again.usage, chunk.usage);
    EXPECT_EQ(again.choices.at(0).finish_reason, FinishReason::kStop);
    EXPECT_EQ(json::parse(write_completion_chunk(chunk))["choices"][0]["text"], "t");
    EXPECT_EQ(parse_chat_chunk(R"({"error":{"message":"gone"}})").error().message, "gone");
}

TEST(WriteModelList, HasBothShapes) {
    const Price price{1, NanoUsd(3000), NanoUsd(3000), NanoUsd(7000), NanoUsd(0)};
    const ModelRow rows[] = {
        {"deepseek-ai/DeepSeek-R1", 5, "R1", "DeepSeek", "chat", 131072, price}};
    const json list = json::parse(write_model_list(rows, false));
    EXPECT_EQ(list["object"], "list");
    EXPECT_EQ(list["data"][0]["pricing"]["input"], 3);
    EXPECT_EQ(list["data"][0]["pricing"]["output"], 7);
    EXPECT_EQ(json::parse(write_model_list(rows, true)).at(0)["id"], "deepseek-ai/DeepSeek-R1");
    EXPECT_EQ(write_model_list({}, true), "[]");
}

TEST(ParseChat, WhatTheFloatRoundsToZeroIsNotOverZero) {
    for (const char* field : {"top_p", "repetition_penalty"}) {
        for (const double tiny : {1e-46, 1e-60, 1e-320}) {
            json body = chat_body();
            body[field] = tiny;
            EXPECT_EQ(blamed(body), field) << tiny;
        }
        json body = chat_body();
        body[field] = 1e-45;  // the least float over 0
        EXPECT_EQ(blamed(body), "");
    }
}

TEST(ParseChat, AMessageQuotesLittle) {
    const std::string lengthy(5000, 'r');
    json body = chat_body();
    body["messages"][0]["role"] = lengthy;
    EXPECT_LT(parse_chat_request(body.dump()).error().message.size(), 300U);
    body = chat_body();
    body["reasoning_format"] = lengthy;
    EXPECT_LT(parse_chat_request(body.dump()).error().message.size(), 300U);
}

TEST(ParseAnswer, AnErrorSaysSomething) {
    EXPECT_EQ(parse_chat_answer(R"({"error":"overloaded"})").error().message, "overloaded");
    for (const char* text : {R"({"error":{}})", R"({"error":""})", R"({"error":{"message":""}})"}) {
        ASSERT_FALSE(parse_chat_answer(text).has_value());
        EXPECT_FALSE(parse_chat_answer(text).error().message.empty());
    }
    EXPECT_TRUE(parse_chat_answer(R"({"error":null})").has_value());
}

TEST(ParseAnswer, CountsThatCannotBeAreNone) {
    const Answer answer = parse_chat_answer(R"({"choices":[{"index":4294967297}],"usage":{
        "prompt_tokens":9223372036854775807,"completion_tokens":18446744073709551615,
        "cached_tokens":-1,"reasoning_tokens":2}})")
                              .value();
    EXPECT_EQ(answer.choices.at(0).index, 0);
    EXPECT_EQ(answer.usage, (TokenUsage{0, 0, 0, 2}));
    EXPECT_NE(write_chat_answer(answer).find("\"total_tokens\":0"), std::string::npos);
}

}  // namespace
}  // namespace turnpike::engine
