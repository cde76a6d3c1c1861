// TLS contexts: 1.3 and 1.2 with AEAD ciphers only, no early data, ALPN http/1.1.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::net {

using SslContext = UniqueHandle<SSL_CTX*, &SSL_CTX_free>;
using Ssl = UniqueHandle<SSL*, &SSL_free>;

// A server's context from PEM files. Sessions resume by tickets; idle connections release their
// buffers; read-ahead is on, so a reader checks SSL_has_pending before it waits. Thread-safe once
// made.
Result<SslContext> make_server_context(const std::string& certificate_file,
                                       const std::string& key_file);

// A client's context that verifies the peer against `ca_file`, or the system's store when it is
// empty. The caller sets SNI and the expected name per connection with set_server_name.
Result<SslContext> make_client_context(const std::string& ca_file);
Status set_server_name(SSL& ssl, const std::string& name);

// The oldest entry of OpenSSL's error queue as text; empties the queue.
std::string take_ssl_error();

}  // namespace turnpike::net
