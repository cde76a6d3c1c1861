// The response schema of both routes: whole answers, stream chunks, and the rows of /v1/models.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/money.h"
#include "engine/api/request.h"

namespace turnpike::engine {

enum class FinishReason { kStop, kLength, kToolCalls };

struct TokenDetail {
    TokenId token = 0;
    std::string bytes;  // may be a part of a character
    float logprob = 0.0F;
};

struct SampledDetail {
    TokenDetail sampled;
    std::vector<TokenDetail> alternatives;  // the likeliest first
    bool has_logprob = true;                // not the first token of an echoed prompt
};

// Of the tokens of one choice or delta, thoughts included, an end token left out.
struct Logprobs {
    LogprobsShape shape = LogprobsShape::kContent;
    std::vector<SampledDetail> tokens;
};

struct Choice {
    std::int32_t index = 0;
    std::string text;                      // content of a chat answer, or text of a completion
    std::optional<std::string> reasoning;  // written as both `reasoning` and `reasoning_content`
    std::vector<ToolCall> tool_calls;
    FinishReason finish_reason = FinishReason::kStop;
    std::uint64_t seed = 0;
    std::optional<Logprobs> logprobs{};
};

// A prompt that the request asked to see again.
struct EchoedPrompt {
    std::string text;
    std::optional<Logprobs> logprobs;
};

struct Answer {
    std::string id;  // the request id
    std::int64_t created_unix_s = 0;
    std::string model;  // what really ran
    std::vector<Choice> choices;
    TokenUsage usage;
    std::vector<EchoedPrompt> prompt{};
};

// One streamed delta of one choice.
struct Delta {
    std::int32_t index = 0;
    std::string text;
    std::string reasoning;
    std::optional<FinishReason> finish_reason;
    std::optional<Logprobs> logprobs{};
};

struct Chunk {
    std::string id;
    std::int64_t created_unix_s = 0;
    std::string model;
    std::vector<Delta> choices;  // empty on the trailing usage chunk
    std::optional<TokenUsage>
        usage;  // on the trailing chunk when asked for, else on the finish chunk
};

// A row of GET /v1/models.
struct ModelRow {
    std::string id;
    std::int64_t created_unix_s = 0;
    std::string display_name;
    std::string organization;
    std::string type = "chat";
    std::int64_t context_length = 0;  // also written as vLLM's max_model_len
    std::optional<Price> price;       // shown in USD per million tokens
};

}  // namespace turnpike::engine
