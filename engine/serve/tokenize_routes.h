// POST /tokenize and POST /detokenize, in the shapes of vLLM's server: from body to body. Pure.
#pragma once

#include <string>
#include <string_view>

#include "config/base/result.h"
#include "engine/serve/request_plan.h"

namespace turnpike::engine {

// Errors name the field in `param`.
Result<std::string> tokenize_body(const ServedModel& model, std::string_view body);
Result<std::string> detokenize_body(const ServedModel& model, std::string_view body);

}  // namespace turnpike::engine
