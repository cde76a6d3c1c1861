// IoResult: what one non-blocking read or write did.
#pragma once

#include <cstddef>

namespace turnpike::gateway {

struct IoResult {
    enum class Status {
        kOk,
        kWouldRead,   // again once the descriptor is readable
        kWouldWrite,  // again once it is writable
        kEnd,         // the peer sends no more
        kFailed,      // reset, or broken TLS
    };
    Status status = Status::kOk;
    std::size_t num_bytes = 0;
};

}  // namespace turnpike::gateway
