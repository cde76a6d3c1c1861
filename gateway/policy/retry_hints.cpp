#include "gateway/policy/retry_hints.h"

namespace turnpike::gateway {

std::string_view retry_hints(int http_status) {
    switch (http_status) {
        case 408:  // the network was slow this time
        case 409:  // somebody else was faster
        case 429:
            return "";
        case 503:
            // A replica that was lost is replaced within seconds.
            return "retry-after: 1\r\n";
        default:
            return http_status >= 400 && http_status < 500 ? "x-should-retry: false\r\n" : "";
    }
}

}  // namespace turnpike::gateway
