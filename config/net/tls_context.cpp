#include "config/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <cstring>

namespace turnpike::net {
namespace {

constexpr char kTls12Ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr unsigned char kAlpnHttp11[] = "\x08http/1.1";
constexpr unsigned char kSessionIdContext[] = "turnpike";

Error ssl_error(const std::string& what) {
    return Error{ErrorCode::kIo, what + ": " + take_ssl_error(), {}};
}

Result<SslContext> make_context(const SSL_METHOD* method) {
    SslContext context(SSL_CTX_new(method));
    if (context == nullptr) return ssl_error("cannot make a TLS context");
    if (SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context.get(), kTls12Ciphers) != 1) {
        return ssl_error("cannot set TLS versions and ciphers");
    }
    SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context.get(), 1);
    return context;
}

Status use_certificate(SSL_CTX& context, const TlsFiles& files) {
    if (SSL_CTX_use_certificate_chain_file(&context, files.certificate.c_str()) != 1)
        return ssl_error("cannot read the certificate " + files.certificate);
    if (SSL_CTX_use_PrivateKey_file(&context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
        return ssl_error("cannot read the private key " + files.key);
    if (SSL_CTX_check_private_key(&context) != 1) {
        return ssl_error("the private key " + files.key + " does not belong to " +
                         files.certificate);
    }
    return {};
}

Status trust(SSL_CTX& context, const std::string& ca_file) {
    if (SSL_CTX_load_verify_file(&context, ca_file.c_str()) == 1) return {};
    return ssl_error("cannot read certificate authorities from " + ca_file);
}

Status demand_certificates(SSL_CTX& context, const std::string& ca_file) {
    RETURN_IF_ERROR(trust(context, ca_file));
    SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    // A resumed session would not be verified again. Tickets would also lie unread in connections
    // that wait for their first request.
    SSL_CTX_set_options(&context, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(&context, 0);
    return {};
}

int select_alpn(SSL*,
                const unsigned char** out,
                unsigned char* out_length,
                const unsigned char* offered,
                unsigned int offered_length,
                void*) {
    unsigned char* selected = nullptr;
    const int outcome = SSL_select_next_proto(&selected, out_length, kAlpnHttp11,
                                              sizeof kAlpnHttp11 - 1, offered, offered_length);
    *out = selected;
    // A client that offers only other protocols still gets HTTP/1.1, as without ALPN.
    return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

std::string take_ssl_error() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return "no detail";
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

Result<SslContext> make_server_context(const TlsFiles& files) {
    auto context = make_context(TLS_server_method());
    RETURN_IF_ERROR(context);
    SSL_CTX* raw = context->get();
    RETURN_IF_ERROR(use_certificate(*raw, files));
    SSL_CTX_set_options(
        raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_max_early_data(raw, 0);
    SSL_CTX_set_num_tickets(raw, 1);
    SSL_CTX_set_session_id_context(raw, kSessionIdContext, sizeof kSessionIdContext - 1);
    SSL_CTX_set_alpn_select_cb(raw, &select_alpn, nullptr);
    if (!files.ca.empty()) RETURN_IF_ERROR(demand_certificates(*raw, files.ca));
    return context;
}

Result<SslContext> make_client_context(const TlsFiles& files) {
    auto context = make_context(TLS_client_method());
    RETURN_IF_ERROR(context);
    SSL_CTX* raw = context->get();
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    if (!files.ca.empty()) {
        RETURN_IF_ERROR(trust(*raw, files.ca));
    } else if (SSL_CTX_set_default_verify_paths(raw) != 1) {
        return ssl_error("cannot read certificate authorities from the system's store");
    }
    if (!files.certificate.empty()) RETURN_IF_ERROR(use_certificate(*raw, files));
    return context;
}

Status set_server_name(SSL& ssl, const std::string& name) {
    // SNI carries names only; an address is checked against the certificate all the same.
    const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(&ssl), name.c_str()) == 1;
    if (is_address) return {};
    ERR_clear_error();
    SSL_set_hostflags(&ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (SSL_set1_host(&ssl, name.c_str()) != 1 ||
        SSL_set_tlsext_host_name(&ssl, name.c_str()) != 1) {
        return ssl_error("cannot set the server name " + name);
    }
    return {};
}

}  // namespace turnpike::net
