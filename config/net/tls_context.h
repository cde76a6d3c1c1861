// TLS contexts: 1.3 and 1.2 with AEAD ciphers only, no early data, ALPN http/1.1.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "config/base/result.h"
#include "config/base/unique_handle.h"
#include "config/net/tls_files.h"

namespace turnpike::net {

using SslContext = UniqueHandle<SSL_CTX*, &SSL_CTX_free>;
using Ssl = UniqueHandle<SSL*, &SSL_free>;

// A server's context. Without files.ca anybody may connect, and sessions resume by tickets. With it
// TLS is mutual: a client without a certificate of that authority is refused in each handshake, and
// a FIN without close_notify before it is taken for one, so that a peer may half-close either way.
// Idle connections release their buffers; read-ahead is on, so a reader checks SSL_has_pending
// before it waits. Thread-safe once made.
Result<SslContext> make_server_context(const TlsFiles& files);

// A client's context that verifies the peer against files.ca, or the system's store when it is
// empty, and shows its own certificate, when there is one, to a server that asks. The caller sets
// SNI and the expected name per connection with set_server_name.
Result<SslContext> make_client_context(const TlsFiles& files);
// A certificate's common name does not count: it must have the name as a subjectAltName.
Status set_server_name(SSL& ssl, const std::string& name);

// The oldest entry of OpenSSL's error queue as text; empties the queue.
std::string take_ssl_error();

}  // namespace turnpike::net
