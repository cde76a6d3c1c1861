// Retry hints: what a client is told about trying again, by status. OpenAI's and Together's SDKs
// read both headers.
#pragma once

#include <string_view>

namespace turnpike::gateway {

// Header lines, each with its CRLF, empty when the status says enough: "x-should-retry: false"
// where repeating the same request cannot help, "retry-after: 1" where a second may.
std::string_view retry_hints(int http_status);

}  // namespace turnpike::gateway
