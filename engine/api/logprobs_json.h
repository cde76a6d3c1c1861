// The `logprobs` member of choices and deltas.
#pragma once

#include <optional>
#include <string>

#include "engine/api/response.h"

namespace turnpike::engine {

// Appends "logprobs": null without any; else in the shape asked for:
//   kContent  {"content": [{token, bytes, logprob, top_logprobs: [{token, bytes, logprob}]}],
//              "refusal": null}
//   kArrays   {token_ids: [], tokens: [], token_logprobs: [], top_logprobs: [{token: logprob}]},
//             top_logprobs being null when no alternatives were asked for
// The first token of an echoed prompt has null for its logprob (and alternatives, in kArrays).
// A token that is a part of a character is spelled out as \xNN.
void append_logprobs(std::string& out, const std::optional<Logprobs>& logprobs);

}  // namespace turnpike::engine
