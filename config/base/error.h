// Error: why an expected operation failed, as a value. The codes are neutral to the protocol; they
// become HTTP statuses in exactly one function (engine/api/api_error.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace turnpike {

enum class ErrorCode {
    kInvalidArgument,        // the caller's input is wrong; repeating it cannot help
    kContextLengthExceeded,  // prompt and max_tokens do not fit the model's context
    kUnauthenticated,        // no key, or a key that is not known
    kPaymentRequired,        // no credit
    kPermissionDenied,       // known, but not allowed
    kNotFound,               // does not exist, or belongs to somebody else
    kMethodNotAllowed,       // the route exists, the method does not
    kTimeout,                // the other side took too long
    kConflict,               // the state does not allow it, or an epoch is stale
    kTooLarge,               // over a bound of limits.h
    kUnsupportedMedia,       // a body that is no JSON by its content type
    kRateLimited,            // over a limit of the caller's
    kHeaderTooLarge,         // request head over a bound of limits.h
    kInternal,               // our fault
    kBadGateway,             // a replica failed before its first byte
    kUnavailable,            // not now: overloaded, loading or draining
    kGatewayTimeout,         // a replica took too long
    kIo,                     // the operating system refused: disk, socket, process
    kCorrupt,                // stored or received data breaks its format
};

// The enumerator's snake_case name, for logs: "not_found".
std::string_view to_string(ErrorCode code);

struct Error {
    ErrorCode code = ErrorCode::kInternal;
    // What was expected, what was found, what to do. Never contains a key, prompt or completion.
    std::string message;
    // The request field at fault, empty when there is none.
    std::string param;
};

// A stranger's text as a message may quote it: at most max_bytes, cut between UTF-8 sequences, with
// "..." for the rest.
std::string excerpt(std::string_view text, std::size_t max_bytes = 80);

// "<message>: <strerror>" with code kIo, from errno as it is on entry.
Error errno_error(std::string_view what);

}  // namespace turnpike
