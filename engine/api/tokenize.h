// The schema of POST /tokenize and POST /detokenize, as vLLM's server has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "engine/api/request.h"

namespace turnpike::engine {

struct TokenizeRequest {
    std::string model;  // empty when the client names none
    // `prompt`, or `messages` (with `tools`) as a chat has them.
    std::variant<std::string, ChatRequest> input;
    bool add_special_tokens = true;     // of a `prompt`: the token that begins a text
    bool add_generation_prompt = true;  // of `messages`: up to where the assistant begins
    bool return_token_strs = false;
};

struct TokenizeAnswer {
    std::vector<TokenId> tokens;
    std::int64_t max_model_len = 0;
    std::optional<std::vector<std::string>> token_strs;  // bytes; written spelled out
};

struct DetokenizeRequest {
    std::string model;
    std::vector<TokenId> tokens;
};

// Errors name the field in `param`.
Result<TokenizeRequest> parse_tokenize_request(std::string_view body);
Result<DetokenizeRequest> parse_detokenize_request(std::string_view body);

// {"count", "max_model_len", "tokens", "token_strs"}
std::string write_tokenize_answer(const TokenizeAnswer& answer);
// {"prompt"}
std::string write_detokenize_answer(std::string_view text);

}  // namespace turnpike::engine
