// The turns of a conversation and the request that they make.
#include "gateway/client/conversation.h"

#include <gtest/gtest.h>

#include "engine/api/codec.h"

namespace turnpike::gateway::client {
namespace {

std::vector<std::string> texts_of(const Conversation& conversation) {
    std::vector<std::string> texts;
    for (const engine::Message& message : conversation.request().messages)
        texts.push_back(message.content);
    return texts;
}

using Texts = std::vector<std::string>;

TEST(Conversation, TurnsTakeTurnsAfterTheSystemText) {
    Generation generation;
    generation.system = "Be kind.";
    Conversation conversation(generation);
    conversation.ask("one");
    conversation.note_answer("two");
    conversation.ask("three");
    EXPECT_EQ(texts_of(conversation), (Texts{"Be kind.", "one", "two", "three"}));
    const auto messages = conversation.request().messages;
    EXPECT_EQ(messages[0].role, engine::Role::kSystem);
    EXPECT_EQ(messages[1].role, engine::Role::kUser);
    EXPECT_EQ(messages[2].role, engine::Role::kAssistant);
}

TEST(Conversation, AQuestionWithoutAnAnswerIsDropped) {
    Conversation conversation{Generation()};
    conversation.ask("one");
    conversation.note_answer("");
    conversation.ask("two");
    EXPECT_EQ(texts_of(conversation), (Texts{"two"}));
}

TEST(Conversation, ForgettingKeepsTheSystemText) {
    Generation generation;
    generation.system = "Be kind.";
    Conversation conversation(generation);
    conversation.ask("one");
    conversation.note_answer("two");
    conversation.forget();
    EXPECT_EQ(texts_of(conversation), (Texts{"Be kind."}));
}

TEST(Conversation, OnlyWhatWasChosenIsSent) {
    Generation generation;
    generation.model = "m";
    generation.streams = false;
    Conversation plain(generation);
    plain.ask("one");
    EXPECT_EQ(engine::write_chat_request(plain.request()),
              R"({"messages":[{"content":"one","role":"user"}],"model":"m"})");
    generation.max_tokens = 5;
    generation.temperature = 0.5F;
    generation.top_p = 0.25F;
    generation.seed = 18'446'744'073'709'551'615U;
    generation.streams = true;
    Conversation chosen(generation);
    chosen.ask("one");
    const engine::ChatRequest request = chosen.request();
    EXPECT_EQ(request.max_tokens, 5);
    EXPECT_EQ(request.temperature, 0.5F);
    EXPECT_EQ(request.top_p, 0.25F);
    EXPECT_EQ(request.seed, 18'446'744'073'709'551'615U);
    EXPECT_TRUE(request.stream && request.include_usage);
}

TEST(ConversationDeathTest, TwoQuestionsInARowAreABug) {
    Conversation conversation{Generation()};
    EXPECT_DEATH(conversation.note_answer("x"), "is_waiting");
    conversation.ask("one");
    EXPECT_DEATH(conversation.ask("two"), "is_waiting");
}

}  // namespace
}  // namespace turnpike::gateway::client
