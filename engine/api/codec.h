// The one JSON codec of the public API. Pure functions; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/base/result.h"
#include "engine/api/request.h"
#include "engine/api/response.h"

namespace turnpike::engine {

// Every field is type- and range-checked; the error names the field in `param` and says what was
// expected and found. A body over limits::kMaxBodyBytes or deeper than kMaxJsonDepth is refused.
// `body` needs no padding.
Result<ChatRequest> parse_chat_request(std::string_view body);
Result<CompletionRequest> parse_completion_request(std::string_view body);

// Requests as a client sends them; unset fields are left out.
std::string write_chat_request(const ChatRequest& request);
std::string write_completion_request(const CompletionRequest& request);

// Compact JSON without a line end. Field order and null rules follow the public API.
std::string write_chat_answer(const Answer& answer);
std::string write_completion_answer(const Answer& answer);
std::string write_chat_chunk(const Chunk& chunk);
std::string write_completion_chunk(const Chunk& chunk);
std::string write_model(const ModelRow& row);
// {"object":"list","data":[...]}, or the bare array that Together's SDK iterates over.
std::string write_model_list(std::span<const ModelRow> rows, bool bare_array);

// For clients: chunks and answers as any OpenAI-compatible server sends them. An in-stream
// {"error":{...}} comes back as the Error.
Result<Chunk> parse_chat_chunk(std::string_view json);
Result<Answer> parse_chat_answer(std::string_view json);

std::string_view to_string(FinishReason reason);

}  // namespace turnpike::engine
