// The line after an answer: tokens, cost, time, request id.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "gateway/client/answer_reader.h"

namespace turnpike::gateway::client {

// "6 tokens in, 16 out (12 reasoning), 0.00013 USD, 1.2 s, request 01M8…" without a line end; what
// is not known is left out, and being cut off by the token limit is said.
std::string summary_line(const AnswerFacts& facts,
                         const std::optional<Price>& price,
                         std::chrono::milliseconds duration);

}  // namespace turnpike::gateway::client
