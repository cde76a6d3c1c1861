#include "config/base/error.h"

#include <cerrno>
#include <system_error>

#include "config/base/check.h"

namespace turnpike {

std::string_view to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument:
            return "invalid_argument";
        case ErrorCode::kContextLengthExceeded:
            return "context_length_exceeded";
        case ErrorCode::kUnauthenticated:
            return "unauthenticated";
        case ErrorCode::kPaymentRequired:
            return "payment_required";
        case ErrorCode::kPermissionDenied:
            return "permission_denied";
        case ErrorCode::kNotFound:
            return "not_found";
        case ErrorCode::kMethodNotAllowed:
            return "method_not_allowed";
        case ErrorCode::kTimeout:
            return "timeout";
        case ErrorCode::kConflict:
            return "conflict";
        case ErrorCode::kTooLarge:
            return "too_large";
        case ErrorCode::kUnsupportedMedia:
            return "unsupported_media";
        case ErrorCode::kRateLimited:
            return "rate_limited";
        case ErrorCode::kHeaderTooLarge:
            return "header_too_large";
        case ErrorCode::kInternal:
            return "internal";
        case ErrorCode::kBadGateway:
            return "bad_gateway";
        case ErrorCode::kUnavailable:
            return "unavailable";
        case ErrorCode::kGatewayTimeout:
            return "gateway_timeout";
        case ErrorCode::kIo:
            return "io";
        case ErrorCode::kCorrupt:
            return "corrupt";
    }
    CHECK(false && "unknown ErrorCode");
}

std::string excerpt(std::string_view text, std::size_t max_bytes) {
    if (text.size() <= max_bytes) return std::string(text);
    std::size_t end = max_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) --end;
    return std::string(text.substr(0, end)) + "...";
}

Error errno_error(std::string_view what) {
    const int code = errno;
    return Error{
        ErrorCode::kIo, std::string(what) + ": " + std::generic_category().message(code), {}};
}

}  // namespace turnpike
