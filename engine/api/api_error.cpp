#include "engine/api/api_error.h"

#include "config/base/check.h"
#include "engine/api/json_text.h"

namespace turnpike::engine {

int http_status(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument:
        case ErrorCode::kContextLengthExceeded:
            return 400;
        case ErrorCode::kUnauthenticated:
            return 401;
        case ErrorCode::kPaymentRequired:
            return 402;
        case ErrorCode::kPermissionDenied:
            return 403;
        case ErrorCode::kNotFound:
            return 404;
        case ErrorCode::kMethodNotAllowed:
            return 405;
        case ErrorCode::kTimeout:
            return 408;
        case ErrorCode::kConflict:
            return 409;
        case ErrorCode::kTooLarge:
            return 413;
        case ErrorCode::kUnsupportedMedia:
            return 415;
        case ErrorCode::kRateLimited:
            return 429;
        case ErrorCode::kHeaderTooLarge:
            return 431;
        case ErrorCode::kInternal:
        case ErrorCode::kIo:
        case ErrorCode::kCorrupt:
            return 500;
        case ErrorCode::kBadGateway:
            return 502;
        case ErrorCode::kUnavailable:
            return 503;
        case ErrorCode::kGatewayTimeout:
            return 504;
    }
    CHECK(false && "unknown ErrorCode");
}

std::string_view error_type(ErrorCode code) {
    const int status = http_status(code);
    if (code == ErrorCode::kRateLimited) return "rate_limit_error";
    if (code == ErrorCode::kPaymentRequired) return "insufficient_quota";
    if (status == 503) return "overloaded_error";
    return status < 500 ? "invalid_request_error" : "server_error";
}

std::string_view error_code(ErrorCode code) {
    switch (code) {
        case ErrorCode::kUnauthenticated:
            return "invalid_api_key";
        case ErrorCode::kPaymentRequired:
            return "insufficient_credit";
        case ErrorCode::kNotFound:
            return "model_not_available";
        case ErrorCode::kRateLimited:
            return "rate_limit_exceeded";
        case ErrorCode::kIo:
        case ErrorCode::kCorrupt:
            return "internal";
        default:
            return to_string(code);
    }
}

namespace {

std::string_view code_of(const Error& error) {
    const bool is_about_model = error.param == "model";
    if (error.code == ErrorCode::kNotFound && !is_about_model) return to_string(error.code);
    return error_code(error.code);
}

}  // namespace

std::string write_error(std::string_view request_id, const Error& error) {
    std::string body = "{";
    if (!request_id.empty()) append_member(body, "id", request_id);
    append_name(body, "error");
    body += '{';
    append_member(body, "message", error.message);
    append_member(body, "type", error_type(error.code));
    if (error.param.empty()) {
        append_raw_member(body, "param", "null");
    } else {
        append_member(body, "param", error.param);
    }
    append_member(body, "code", code_of(error));
    return body + "}}";
}

}  // namespace turnpike::engine
