// Lengths, sharing, and what a prompt file may hold.
#include "gateway/client/bench/prompts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace turnpike::gateway::client::bench {
namespace {

using nlohmann::json;

SyntheticOptions ids(std::size_t count) {
    SyntheticOptions options;
    options.route = Route::kCompletions;
    options.count = count;
    options.input_tokens = 20;
    options.output_tokens = 8;
    options.vocab_size = 100;
    return options;
}

TEST(SyntheticPrompts, TokenIdsHaveExactLengths) {
    SyntheticOptions options = ids(50);
    options.prefix_tokens = 5;
    std::set<std::string> different;
    json prefix;
    for (const Prompt& prompt : synthetic_prompts(options)) {
        const json tokens = json::parse(prompt.json);
        EXPECT_EQ(tokens.size(), 25U);
        EXPECT_EQ(prompt.num_tokens, 25);
        EXPECT_EQ(prompt.max_tokens, 8);
        for (const json& token : tokens) EXPECT_TRUE(token >= 1 && token < 100);
        const json head(tokens.begin(), tokens.begin() + 5);
        if (prefix.is_null()) prefix = head;
        EXPECT_EQ(head, prefix);
        different.insert(prompt.json);
    }
    EXPECT_EQ(different.size(), 50U);
}

TEST(SyntheticPrompts, LengthsVaryWithinTheRatio) {
    SyntheticOptions options = ids(500);
    options.range_ratio = 0.5;
    std::set<std::int64_t> inputs;
    std::set<std::int64_t> outputs;
    for (const Prompt& prompt : synthetic_prompts(options)) {
        inputs.insert(prompt.num_tokens);
        outputs.insert(prompt.max_tokens);
    }
    EXPECT_EQ(*inputs.begin(), 10);
    EXPECT_EQ(*inputs.rbegin(), 30);
    EXPECT_EQ(*outputs.begin(), 4);
    EXPECT_EQ(*outputs.rbegin(), 12);
}

TEST(SyntheticPrompts, WordsForChats) {
    SyntheticOptions options = ids(2);
    options.route = Route::kChat;
    const auto prompts = synthetic_prompts(options);
    const json messages = json::parse(prompts[0].json);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_EQ(messages[0]["role"], "user");
    const auto text = messages[0]["content"].get<std::string>();
    EXPECT_EQ(std::count(text.begin(), text.end(), ' '), 20);
    EXPECT_NE(prompts[0].json, prompts[1].json);
}

TEST(SyntheticPrompts, AreThoseOfTheirSeed) {
    SyntheticOptions options = ids(3);
    const auto once = synthetic_prompts(options);
    EXPECT_EQ(synthetic_prompts(options)[2].json, once[2].json);
    options.seed = 1;
    EXPECT_NE(synthetic_prompts(options)[2].json, once[2].json);
}

TEST(ParsePrompts, ReadsBothKindsOfLine) {
    const auto chats = parse_prompts(R"({"prompt": "a"}

{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "b"}], "max_tokens": 5})",
                                     {Route::kChat, 16})
                           .value();
    ASSERT_EQ(chats.size(), 2U);
    EXPECT_EQ(json::parse(chats[0].json), json::parse(R"([{"role":"user","content":"a"}])"));
    EXPECT_EQ(chats[0].max_tokens, 16);
    EXPECT_EQ(json::parse(chats[1].json)[1]["content"], "b");
    EXPECT_EQ(chats[1].max_tokens, 5);
    const auto completions =
        parse_prompts("{\"prompt\": \"a\"}\r\n{\"prompt\": [1, 2]}\n", {Route::kCompletions, 16})
            .value();
    ASSERT_EQ(completions.size(), 2U);
    EXPECT_EQ(completions[0].json, "\"a\"");
    EXPECT_EQ(completions[1].json, "[1,2]");
}

TEST(ParsePrompts, SaysWhichLineIsWrong) {
    const PromptFileOptions options{Route::kCompletions, 16};
    for (const char* line :
         {"[]", "{}", "{", R"({"prompt": 5})", R"({"prompt": "a", "max_tokens": 0})",
          R"({"messages": [{}]})", R"({"prompt": "a", "messages": [{}]})"}) {
        const auto parsed = parse_prompts("{\"prompt\": \"a\"}\n" + std::string(line), options);
        ASSERT_FALSE(parsed) << line;
        EXPECT_TRUE(parsed.error().message.starts_with("line 2: ")) << parsed.error().message;
    }
    EXPECT_FALSE(parse_prompts("\n\n", options));
    EXPECT_FALSE(parse_prompts(R"({"messages": []})", {Route::kChat, 16}));
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
