#include "gateway/edge/tls_io.h"

#include <openssl/err.h>

namespace turnpike::gateway {

using Io = IoResult::Status;

IoResult tls_outcome(SSL& ssl, int result, std::size_t num_bytes) {
    if (result == 1) return {Io::kOk, num_bytes};
    switch (SSL_get_error(&ssl, result)) {
        case SSL_ERROR_WANT_READ:
            return {Io::kWouldRead, 0};
        case SSL_ERROR_WANT_WRITE:
            return {Io::kWouldWrite, 0};
        case SSL_ERROR_ZERO_RETURN:
            return {Io::kEnd, 0};
        default:
            break;
    }
    // FIN without close_notify: many peers leave like that.
    if (ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return {Io::kFailed, 0};
    ERR_clear_error();
    return {Io::kEnd, 0};
}

}  // namespace turnpike::gateway
