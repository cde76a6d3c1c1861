// What an OpenSSL call on a non-blocking descriptor did, as an IoResult.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>

#include "gateway/edge/io_result.h"

namespace turnpike::gateway {

// `result` is what the call returned, 1 for success. The error queue was empty before it. With
// kFailed the queue still holds why.
IoResult tls_outcome(SSL& ssl, int result, std::size_t num_bytes);

}  // namespace turnpike::gateway
