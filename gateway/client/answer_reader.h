// AnswerReader: the events of one streamed answer, or the body of a whole one, to pieces of text
// and the facts that stand beside them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/result.h"
#include "engine/api/response.h"

namespace turnpike::gateway::client {

enum class PieceKind { kReasoning, kContent };

// False: the reader of the pieces wants no more.
using OnPiece = std::function<bool(PieceKind kind, std::string_view text)>;

struct AnswerFacts {
    std::string request_id;
    std::string content;  // without reasoning, as far as it came
    std::optional<engine::FinishReason> finish_reason;
    std::optional<TokenUsage> usage;
};

class AnswerReader {
  public:
    explicit AnswerReader(OnPiece on_piece) : on_piece_(std::move(on_piece)) {}

    // The data of one event. An in-stream error comes back as such; kCorrupt when it is no chunk.
    // False: on_piece wants no more.
    Result<bool> take_event(std::string_view data);
    // The body of an answer that was not streamed; otherwise the same.
    Result<bool> take_answer(std::string_view body);

    // Whether the server has said that there is no more.
    bool is_done() const { return is_done_; }

    const AnswerFacts& facts() const { return facts_; }

  private:
    bool give(std::string_view reasoning, std::string_view content);

    OnPiece on_piece_;
    AnswerFacts facts_;
    bool is_done_ = false;
};

}  // namespace turnpike::gateway::client
