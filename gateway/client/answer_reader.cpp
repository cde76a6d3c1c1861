#include "gateway/client/answer_reader.h"

#include "engine/api/codec.h"

namespace turnpike::gateway::client {

bool AnswerReader::give(std::string_view reasoning, std::string_view content) {
    facts_.content += content;
    return (reasoning.empty() || on_piece_(PieceKind::kReasoning, reasoning)) &&
           (content.empty() || on_piece_(PieceKind::kContent, content));
}

Result<bool> AnswerReader::take_event(std::string_view data) {
    if (data == "[DONE]") {
        is_done_ = true;
        return true;
    }
    const auto chunk = engine::parse_chat_chunk(data);
    RETURN_IF_ERROR(chunk);
    if (facts_.request_id.empty()) facts_.request_id = chunk->id;
    if (chunk->usage) facts_.usage = chunk->usage;
    bool goes_on = true;
    for (const engine::Delta& delta : chunk->choices) {
        if (delta.index != 0) continue;  // one choice was asked for
        if (delta.finish_reason) facts_.finish_reason = delta.finish_reason;
        goes_on = give(delta.reasoning, delta.text) && goes_on;
    }
    return goes_on;
}

Result<bool> AnswerReader::take_answer(std::string_view body) {
    const auto answer = engine::parse_chat_answer(body);
    RETURN_IF_ERROR(answer);
    if (answer->choices.empty())
        return Error{ErrorCode::kCorrupt, "the server's answer holds no choice", {}};
    if (facts_.request_id.empty()) facts_.request_id = answer->id;
    facts_.usage = answer->usage;
    const engine::Choice& choice = answer->choices.front();
    facts_.finish_reason = choice.finish_reason;
    is_done_ = true;
    return give(choice.reasoning.value_or(""), choice.text);
}

}  // namespace turnpike::gateway::client
