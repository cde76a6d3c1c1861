// Prompts that are shown again, several prompts in one request, and requests for a prompt alone.
#include <gtest/gtest.h>

#include "tests/unit/engine/serve/generation_fixture.h"

namespace turnpike::engine {
namespace {

class EchoTest : public GenerationTest {
  protected:
    // Prompts of `tokens` each, shown as "<p0>", "<p1>".
    GenerationOptions echoing(const std::string& id,
                              const std::vector<std::vector<TokenId>>& tokens,
                              bool has_logprobs) {
        GenerationOptions echo = options(id);
        echo.is_chat = echo.is_stream = echo.is_metered = false;
        echo.num_prompt_tokens = 0;
        if (has_logprobs) echo.logprobs = LogprobsShape::kArrays;
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            echo.echo.push_back({"<p" + std::to_string(i) + ">", tokens[i]});
            echo.num_prompt_tokens += static_cast<TokenCount>(tokens[i].size());
        }
        return echo;
    }

    json answer(GenerationOptions wanted, const std::vector<std::vector<TokenId>>& prompts) {
        const auto reply = std::make_shared<RecordingReply>();
        EXPECT_TRUE(run(std::move(wanted), reply, prompts).has_value());
        return json::parse(reply->response().body);
    }
};

// The fake runner gives the prompt's token at position p the logprob -p, and generated ones 0.
const json kPromptLogprobs = json::parse("[null, -1.0, -2.0]");

TEST_F(EchoTest, TheTextAndItsLogprobsBeginWithThePrompt) {
    max_tokens_ = 2;
    GenerationOptions wanted = echoing("e", {{3, 4, 5}}, true);
    wanted.num_choices = 2;
    const json body = answer(std::move(wanted), {{3, 4, 5}});
    ASSERT_EQ(body["choices"].size(), 2U);
    for (const json& choice : body["choices"]) {
        EXPECT_EQ(choice["text"], "<p0>01");
        EXPECT_EQ(choice["logprobs"]["token_logprobs"],
                  json::parse("[null, -1.0, -2.0, 0.0, 0.0]"));
        EXPECT_EQ(choice["logprobs"]["token_ids"].size(), 5U);
        EXPECT_EQ(choice["logprobs"]["token_ids"][1], 4);
    }
    ASSERT_EQ(body["prompt"].size(), 1U);
    EXPECT_EQ(body["prompt"][0]["text"], "<p0>");
    EXPECT_EQ(body["prompt"][0]["logprobs"]["token_logprobs"], kPromptLogprobs);
    EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
    EXPECT_EQ(body["usage"]["completion_tokens"], 4);
}

TEST_F(EchoTest, WithoutLogprobsOnlyTheText) {
    max_tokens_ = 2;
    const json body = answer(echoing("t", {{3, 4}}, false), {{3, 4}});
    EXPECT_EQ(body["choices"][0]["text"], "<p0>01");
    EXPECT_TRUE(body["choices"][0]["logprobs"].is_null());
    EXPECT_TRUE(body["prompt"][0]["logprobs"].is_null());
}

TEST_F(EchoTest, APromptAloneGeneratesNothing) {
    for (const bool has_logprobs : {false, true}) {
        const std::string id = has_logprobs ? "pl" : "p";
        GenerationOptions wanted = echoing(id, {{3, 4, 5}, {6}}, has_logprobs);
        wanted.has_prompt_only = true;
        wanted.num_choices = 2;
        max_tokens_ = 1;
        const json body = answer(std::move(wanted), {{3, 4, 5}, {6}});
        ASSERT_EQ(body["choices"].size(), 4U);
        EXPECT_EQ(body["choices"][1]["text"], "<p0>");
        EXPECT_EQ(body["choices"][2]["text"], "<p1>");
        EXPECT_EQ(body["choices"][3]["finish_reason"], "length");
        EXPECT_EQ(body["usage"]["completion_tokens"], 0);
        if (has_logprobs) {
            EXPECT_EQ(body["choices"][1]["logprobs"]["token_logprobs"], kPromptLogprobs);
            EXPECT_EQ(body["choices"][3]["logprobs"]["token_logprobs"], json::parse("[null]"));
        }
        EXPECT_EQ(meter_->find(id)->usage, (TokenUsage{4, 0, 0, 0}));
        EXPECT_TRUE(meter_->find(id)->is_final);
        EXPECT_EQ(loop_.load().generated_tokens, 0);
    }
}

TEST_F(EchoTest, AStreamBeginsWithThePrompt) {
    max_tokens_ = 2;
    for (const bool has_logprobs : {false, true}) {
        GenerationOptions wanted = echoing(has_logprobs ? "sl" : "s", {{3, 4, 5}}, has_logprobs);
        wanted.is_stream = true;
        wanted.num_choices = 2;
        const auto reply = std::make_shared<RecordingReply>();
        ASSERT_TRUE(run(std::move(wanted), reply, {{3, 4, 5}}).has_value());
        std::map<int, std::string> text;
        std::map<int, json> logprobs;
        int num_usages = 0;
        for (const std::string& chunk : reply->wait_over()) {
            if (!chunk.starts_with("data: {")) continue;
            const json event = json::parse(chunk.substr(6));
            num_usages += event["usage"].is_null() ? 0 : 1;
            const json& choice = event["choices"][0];
            text[choice["index"].get<int>()] += choice["text"].get<std::string>();
            if (!has_logprobs) continue;
            for (const json& one : choice["logprobs"]["token_logprobs"])
                logprobs[choice["index"].get<int>()].push_back(one);
        }
        EXPECT_EQ(num_usages, 1);
        for (const int index : {0, 1}) {
            EXPECT_EQ(text[index], "<p0>01");
            if (has_logprobs) {
                EXPECT_EQ(logprobs[index], json::parse("[null, -1.0, -2.0, 0.0, 0.0]"));
            }
        }
    }
}

TEST_F(EchoTest, SeveralPromptsAreAnsweredInOrder) {
    max_tokens_ = 2;
    GenerationOptions wanted = echoing("m", {{3, 4}, {5, 6, 7}}, false);
    wanted.num_choices = 2;
    const json body = answer(std::move(wanted), {{3, 4}, {5, 6, 7}});
    std::vector<std::string> texts;
    for (const json& choice : body["choices"]) texts.push_back(choice["text"]);
    EXPECT_EQ(texts, (std::vector<std::string>{"<p0>01", "<p0>01", "<p1>01", "<p1>01"}));
    EXPECT_EQ(body["choices"][3]["index"], 3);
    EXPECT_EQ(body["prompt"].size(), 2U);
    EXPECT_EQ(body["usage"]["prompt_tokens"], 5);
    EXPECT_EQ(body["usage"]["completion_tokens"], 8);
}

}  // namespace
}  // namespace turnpike::engine
