// How an Error looks on the wire: the only place where an ErrorCode becomes an HTTP status.
#pragma once

#include <string>
#include <string_view>

#include "config/base/error.h"

namespace turnpike::engine {

int http_status(ErrorCode code);

// The `type` and `code` fields of the error body, as OpenAI's and Together's clients know them:
// 401 "invalid_request_error" / "invalid_api_key", 404 "invalid_request_error" /
// "model_not_available".
std::string_view error_type(ErrorCode code);
std::string_view error_code(ErrorCode code);

// {"id":..., "error":{"message","type","param","code"}}; param is null when empty. An empty id is
// left out. A 404 whose param is not "model" is about something else: its code is "not_found".
std::string write_error(std::string_view request_id, const Error& error);

}  // namespace turnpike::engine
