// From a request's body to the sequences that it asks for, and what is refused by name.
#include "engine/serve/request_plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/serve/tokenize_routes.h"
#include "engine/text/synth_tokenizer.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

class RequestPlanTest : public testing::Test {
  protected:
    const text::Tokenizer tokenizer_ =
        text::Tokenizer::parse(text::synthesize_tokenizer_json(300).value(), "t").value();
    schema::ModelCard card_;
    ModelInfo info_;

    RequestPlanTest() {
        card_.id = "house/model";
        card_.aliases = {"model"};
        card_.default_max_tokens = 32;
        info_.vocab_size = 320;
        info_.bos_token = 0;
        info_.eos_token = 1;
    }

    ServedModel model() const { return {card_, info_, tokenizer_, 100}; }

    Result<RequestPlan> complete(const json& more, bool takes_any_name = false) const {
        json body{{"model", "house/model"}, {"prompt", "abc"}};
        body.update(more);
        return plan_completion(model(), body.dump(), 7, takes_any_name);
    }

    Result<RequestPlan> chat(const json& more) const {
        json body{{"model", "house/model"}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}};
        body.update(more);
        return plan_chat(model(), body.dump(), 7, false);
    }

    std::vector<TokenId> ids(std::string_view text) const {
        return tokenizer_.encode(text, text::SpecialTokens::kPlain);
    }

    static std::string refused(const Result<RequestPlan>& plan) {
        return plan ? "nothing" : plan.error().param;
    }
};

TEST_F(RequestPlanTest, APromptIsTextOrTokensOrSeveral) {
    std::vector<TokenId> abc = ids("abc");
    const auto text = complete(json::object());
    ASSERT_TRUE(text) << text.error().message;
    ASSERT_EQ(text->prompts.size(), 1U);
    EXPECT_EQ(text->prompts[0].prompt.front(), 0) << "a text begins with the token that says so";
    EXPECT_EQ(text->prompts[0].prompt.size(), abc.size() + 1);
    const auto tokens = complete({{"prompt", {5, 6, 7}}});
    EXPECT_EQ(tokens->prompts.at(0).prompt, (std::vector<TokenId>{5, 6, 7}));
    const auto texts = complete({{"prompt", {"abc", "a"}}, {"n", 3}});
    ASSERT_EQ(texts->prompts.size(), 2U);
    EXPECT_EQ(texts->options.num_choices, 3);
    EXPECT_EQ(texts->options.num_prompt_tokens,
              static_cast<TokenCount>(abc.size() + ids("a").size() + 2));
    const auto lists = complete({{"prompt", {{5, 6}, {7}}}});
    EXPECT_EQ(lists->prompts.at(1).prompt, std::vector<TokenId>{7});
}

TEST_F(RequestPlanTest, BadPromptsAreRefused) {
    EXPECT_EQ(refused(complete({{"prompt", json::array()}})), "prompt");
    EXPECT_EQ(refused(complete({{"prompt", {{5}, json::array()}}})), "prompt");
    EXPECT_EQ(refused(complete({{"prompt", {5, "a"}}})), "prompt");
    EXPECT_EQ(refused(complete({{"prompt", {"a", {5}}}})), "prompt");
    EXPECT_EQ(refused(complete({{"prompt", {300}}})), "prompt") << "the tokenizer has 300 tokens";
    EXPECT_EQ(refused(complete({{"prompt", {-1}}})), "prompt");
    EXPECT_EQ(refused(complete({{"prompt", {"a", "b"}}, {"n", 65}})), "prompt");
    EXPECT_EQ(refused(complete({{"prompt", {"a", "b"}}, {"n", 64}})), "nothing");
}

TEST_F(RequestPlanTest, LengthsAreRefusedOrCut) {
    const json prompt = std::vector<int>(90, 5);
    const auto fits = complete({{"prompt", prompt}, {"max_tokens", 10}});
    EXPECT_EQ(fits->prompts.at(0).max_tokens, 10);
    const auto beyond = complete({{"prompt", prompt}, {"max_tokens", 11}});
    EXPECT_EQ(refused(beyond), "max_tokens");
    EXPECT_EQ(beyond.error().code, ErrorCode::kContextLengthExceeded);
    const json truncate{{"context_length_exceeded_behavior", "truncate"}};
    json cut{{"prompt", prompt}, {"max_tokens", 11}};
    cut.update(truncate);
    EXPECT_EQ(complete(cut)->prompts.at(0).max_tokens, 10);
    EXPECT_EQ(complete({{"prompt", prompt}})->prompts.at(0).max_tokens, 10) << "the default is cut";
    json whole{{"prompt", std::vector<int>(100, 5)}, {"max_tokens", 1}};
    whole.update(truncate);
    EXPECT_EQ(refused(complete(whole)), "prompt") << "nothing of the prompt is cut";
    EXPECT_EQ(refused(complete({{"context_length_exceeded_behavior", "shrug"}})),
              "context_length_exceeded_behavior");
}

TEST_F(RequestPlanTest, NothingToGenerateNeedsEcho) {
    EXPECT_EQ(refused(complete({{"max_tokens", 0}})), "max_tokens");
    const auto plan = complete({{"max_tokens", 0}, {"echo", true}, {"logprobs", 2}});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_TRUE(plan->options.has_prompt_only);
    EXPECT_TRUE(plan->prompts.at(0).wants_prompt_logprobs);
    EXPECT_EQ(plan->options.echo.at(0).text, "abc");
    EXPECT_EQ(plan->options.echo[0].tokens, plan->prompts[0].prompt);
    const auto full =
        complete({{"prompt", std::vector<int>(100, 5)}, {"max_tokens", 0}, {"echo", true}});
    EXPECT_EQ(refused(full), "nothing");
}

TEST_F(RequestPlanTest, ThePromptsLogprobsAreBounded) {
    const std::vector<std::vector<int>> prompts(40, std::vector<int>(99, 5));
    json wanted{{"prompt", prompts}, {"max_tokens", 1}, {"echo", true}, {"logprobs", 20}, {"n", 3}};
    EXPECT_EQ(refused(complete(wanted)), "nothing");
    wanted["prompt"] = std::vector<int>(99, 5);
    wanted["n"] = 128;
    EXPECT_EQ(refused(complete(wanted)), "nothing");
    const ServedModel large{card_, info_, tokenizer_, 100'000};
    wanted["prompt"] = std::vector<int>(50'000, 5);
    wanted["model"] = card_.id;
    wanted["n"] = 1;
    EXPECT_EQ(refused(plan_completion(large, wanted.dump(), 7, false)), "echo");
    wanted["logprobs"] = 5;
    EXPECT_EQ(refused(plan_completion(large, wanted.dump(), 7, false)), "nothing");
}

TEST_F(RequestPlanTest, EndsAreIgnoredOrPutOff) {
    EXPECT_EQ(complete(json::object())->prompts.at(0).stop_tokens, std::vector<TokenId>{1});
    EXPECT_TRUE(complete({{"ignore_eos", true}})->prompts.at(0).stop_tokens.empty());
    const auto later = complete({{"min_tokens", 5}, {"max_tokens", 9}, {"stop", "x"}});
    EXPECT_EQ(later->prompts.at(0).min_tokens, 5);
    EXPECT_EQ(later->options.min_tokens, 5);
    EXPECT_EQ(refused(complete({{"min_tokens", 10}, {"max_tokens", 9}})), "min_tokens");
    EXPECT_EQ(refused(complete({{"min_tokens", -1}})), "min_tokens");
}

TEST_F(RequestPlanTest, BestOfMoreIsRefused) {
    EXPECT_EQ(refused(complete({{"best_of", 3}})), "best_of");
    EXPECT_EQ(refused(complete({{"n", 3}, {"best_of", 3}})), "nothing");
    EXPECT_EQ(refused(complete({{"best_of", 1}})), "nothing");
}

TEST_F(RequestPlanTest, NamesAreTheCardsOrAnyBehindAGateway) {
    EXPECT_EQ(refused(complete({{"model", "model"}})), "nothing");
    const auto other = complete({{"model", "other"}});
    EXPECT_EQ(refused(other), "model");
    EXPECT_EQ(other.error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(complete({{"model", "other"}}, true));
}

TEST_F(RequestPlanTest, AChatsPromptIsShownOnlyWhole) {
    const auto plan = chat({{"echo", true}, {"max_tokens", 4}});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_NE(plan->options.echo.at(0).text.find("hi"), std::string::npos);
    EXPECT_EQ(refused(chat({{"echo", true}, {"stream", true}})), "echo");
}

TEST_F(RequestPlanTest, ThoughtsAreSplitWhereTheCardSaysSo) {
    EXPECT_FALSE(chat(json::object())->options.reasoning);
    card_.reasoning = schema::ReasoningParser::kDeepseekR1;
    const auto plan = chat({{"reasoning_format", "hidden"}});
    EXPECT_TRUE(plan->options.reasoning);
    EXPECT_EQ(plan->options.reasoning_format, ReasoningFormat::kHidden);
    EXPECT_EQ(plan->options.reasoning_start, text::ReasoningSplitter::Start::kReasoning);
    EXPECT_EQ(chat(json::object())->options.reasoning_format, ReasoningFormat::kSeparate);
    EXPECT_FALSE(complete(json::object())->options.reasoning);
}

TEST_F(RequestPlanTest, TokenizeAnswersAsVllmDoes) {
    const json answer = json::parse(
        tokenize_body(model(), R"({"prompt": "abc", "return_token_strs": true})").value());
    EXPECT_EQ(answer["count"], ids("abc").size() + 1);
    EXPECT_EQ(answer["max_model_len"], 100);
    EXPECT_EQ(answer["tokens"][0], 0);
    EXPECT_EQ(answer["token_strs"].size(), answer["tokens"].size());
    const json plain = json::parse(
        tokenize_body(model(), R"({"prompt": "abc", "add_special_tokens": false})").value());
    EXPECT_EQ(plain["tokens"], json(ids("abc")));
    EXPECT_TRUE(plain["token_strs"].is_null());
    const std::string messages = R"({"messages": [{"role": "user", "content": "hi"}]})";
    const json chatted = json::parse(tokenize_body(model(), messages).value());
    EXPECT_EQ(chatted["tokens"], json(chat(json::object())->prompts.at(0).prompt));
    json talk{{"messages", json::array({{{"role", "user"}, {"content", "hi"}},
                                        {{"role", "assistant"}, {"content", "ho"}}})}};
    const json closed = json::parse(tokenize_body(model(), talk.dump()).value());
    talk["add_generation_prompt"] = false;
    const json open = json::parse(tokenize_body(model(), talk.dump()).value());
    EXPECT_LT(open["count"], closed["count"]);
}

TEST_F(RequestPlanTest, TokenizeNamesWhatIsWrong) {
    const auto refused_by = [&](const char* body) {
        const auto answer = tokenize_body(model(), body);
        return answer ? "nothing" : answer.error().param;
    };
    EXPECT_EQ(refused_by(R"({"prompt": 3})"), "prompt");
    EXPECT_EQ(refused_by("{}"), "prompt");
    EXPECT_EQ(refused_by(R"({"messages": []})"), "messages");
    EXPECT_EQ(refused_by(R"({"prompt": "a", "model": "other"})"), "model");
    EXPECT_EQ(refused_by(R"({"prompt": "a", "add_special_tokens": 1})"), "add_special_tokens");
    EXPECT_FALSE(tokenize_body(model(), "[]"));
}

TEST_F(RequestPlanTest, DetokenizeGivesTheTextBack) {
    const auto back = [&](const json& body) { return detokenize_body(model(), body.dump()); };
    EXPECT_EQ(back({{"tokens", ids("hello, world")}}).value(), R"({"prompt":"hello, world"})");
    EXPECT_EQ(back({{"tokens", {300}}}).error().param, "tokens");
    EXPECT_EQ(back({{"tokens", {-1}}}).error().param, "tokens");
    EXPECT_EQ(back({{"tokens", "x"}}).error().param, "tokens");
    EXPECT_EQ(back({{"prompt", "x"}}).error().param, "tokens");
}

}  // namespace
}  // namespace turnpike::engine
