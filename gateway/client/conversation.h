// Conversation: the turns so far and the request that asks for the next one. Reasoning is not kept:
// the model is not meant to see that of earlier turns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/request.h"

namespace turnpike::gateway::client {

struct Generation {
    std::string model = "deepseek-ai/DeepSeek-R1";
    std::string system;  // empty: none
    std::optional<std::int64_t> max_tokens;
    std::optional<float> temperature;
    std::optional<float> top_p;
    std::optional<std::uint64_t> seed;
    bool streams = true;
};

class Conversation {
  public:
    explicit Conversation(Generation generation);

    const std::string& model() const { return generation_.model; }

    bool streams() const { return generation_.streams; }

    // The user's turn. An answer, if only a part of one, must be noted before the next question.
    void ask(std::string question);
    // The model's turn, as far as it came. Without a text the question is dropped as well, so that
    // turns keep taking turns.
    void note_answer(std::string text);
    // Drops every turn; the system's text stays.
    void forget();

    engine::ChatRequest request() const;

  private:
    Generation generation_;
    std::vector<engine::Message> turns_;
};

}  // namespace turnpike::gateway::client
