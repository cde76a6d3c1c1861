// The request schema of /v1/chat/completions and /v1/completions: one set of types for the engine,
// the gateway and the clients. Parsing and range checks are in codec.h; unknown fields are ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/base/ids.h"
#include "engine/api/sampling.h"

namespace turnpike::engine {

enum class Role {
    kSystem,
    kUser,
    kAssistant,
    kTool
};  // "developer" reads as system, "function" as tool

struct ToolCall {
    std::string id;
    std::string name;
    std::string arguments;  // JSON text; an object in the request is serialised
};

struct Message {
    Role role = Role::kUser;
    std::string content;    // parts are concatenated; may be null beside tool_calls only
    std::string reasoning;  // assistant only; "reasoning" or "reasoning_content"
    std::vector<ToolCall> tool_calls;
    std::string tool_call_id;
};

struct Tool {
    std::string name;
    std::string json;  // the whole tool object as compact JSON, for the prompt
};

enum class ReasoningFormat { kDefault, kSeparate, kInline, kHidden };

// How log-probabilities are told: in the shape of the question. OpenAI's chat form is a list of
// objects with bytes; `logprobs` as a number, and /v1/completions, mean parallel arrays.
enum class LogprobsShape { kContent, kArrays };

// Fields that both routes share. Sampling fields are optional because the model card holds the
// defaults.
struct CommonRequest {
    std::string model;
    // max_completion_tokens is the same; at least 1, or 0 with `echo`: the prompt alone.
    std::optional<std::int64_t> max_tokens;
    std::int64_t min_tokens = 0;  // no end before so many
    // context_length_exceeded_behavior: max_tokens that do not fit are cut, not refused.
    bool truncates_max_tokens = false;
    std::optional<float> temperature;
    std::optional<float> top_p;
    std::optional<std::int32_t> top_k;
    std::optional<float> min_p;
    std::optional<float> repetition_penalty;
    std::optional<float> presence_penalty;
    std::optional<float> frequency_penalty;
    std::map<TokenId, float> logit_bias;
    std::optional<std::uint64_t> seed;
    std::int32_t n = 1;
    std::vector<std::string> stop;
    bool stream = false;
    bool include_usage = false;                // stream_options.include_usage
    bool wants_cost = false;                   // usage.include: the gateway's to answer
    std::optional<std::int32_t> top_logprobs;  // set = logprobs wanted, with that many alternatives
    LogprobsShape logprobs_shape = LogprobsShape::kContent;
    bool echo = false;
    bool ignore_eos = false;
};

struct ChatRequest : CommonRequest {
    std::vector<Message> messages;
    std::vector<Tool> tools;
    ReasoningFormat reasoning_format = ReasoningFormat::kDefault;
};

struct CompletionRequest : CommonRequest {
    // Text or token ids, one prompt or several, as OpenAI's API allows. Several are answered by one
    // choice each, or n: those of the first prompt come first.
    std::variant<std::string,
                 std::vector<TokenId>,
                 std::vector<std::string>,
                 std::vector<std::vector<TokenId>>>
        prompt;
};

}  // namespace turnpike::engine
