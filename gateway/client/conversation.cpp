#include "gateway/client/conversation.h"

#include <utility>

#include "config/base/check.h"

namespace turnpike::gateway::client {
namespace {

engine::Message message_of(engine::Role role, std::string text) {
    engine::Message message;
    message.role = role;
    message.content = std::move(text);
    return message;
}

bool is_waiting(const std::vector<engine::Message>& turns) {
    return !turns.empty() && turns.back().role == engine::Role::kUser;
}

}  // namespace

Conversation::Conversation(Generation generation) : generation_(std::move(generation)) {}

void Conversation::ask(std::string question) {
    CHECK(!is_waiting(turns_));
    turns_.push_back(message_of(engine::Role::kUser, std::move(question)));
}

void Conversation::note_answer(std::string text) {
    CHECK(is_waiting(turns_));
    if (text.empty()) {
        turns_.pop_back();
    } else {
        turns_.push_back(message_of(engine::Role::kAssistant, std::move(text)));
    }
}

void Conversation::forget() {
    turns_.clear();
}

engine::ChatRequest Conversation::request() const {
    engine::ChatRequest request;
    request.model = generation_.model;
    request.max_tokens = generation_.max_tokens;
    request.temperature = generation_.temperature;
    request.top_p = generation_.top_p;
    request.seed = generation_.seed;
    request.stream = generation_.streams;
    request.include_usage = generation_.streams;
    if (!generation_.system.empty())
        request.messages.push_back(message_of(engine::Role::kSystem, generation_.system));
    request.messages.insert(request.messages.end(), turns_.begin(), turns_.end());
    return request;
}

}  // namespace turnpike::gateway::client
