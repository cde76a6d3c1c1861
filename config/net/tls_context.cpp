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

Result<SslContext> make_server_context(const std::string& certificate_file,
                                       const std::string& key_file) {
    auto context = make_context(TLS_server_method());
    RETURN_IF_ERROR(context);
    SSL_CTX* raw = context->get();
    if (SSL_CTX_use_certificate_chain_file(raw, certificate_file.c_str()) != 1) {
        return ssl_error("cannot read the certificate " + certificate_file);
    }
    if (SSL_CTX_use_PrivateKey_file(raw, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        return ssl_error("cannot read the private key " + key_file);
    }
    if (SSL_CTX_check_private_key(raw) != 1) {
        return ssl_error("the private key " + key_file + " does not belong to " + certificate_file);
    }
    SSL_CTX_set_options(
        raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_max_early_data(raw, 0);
    SSL_CTX_set_num_tickets(raw, 1);
    SSL_CTX_set_session_id_context(raw, kSessionIdContext, sizeof kSessionIdContext - 1);
    SSL_CTX_set_alpn_select_cb(raw, &select_alpn, nullptr);
    return context;
}

Result<SslContext> make_client_context(const std::string& ca_file) {
    auto context = make_context(TLS_client_method());
    RETURN_IF_ERROR(context);
    SSL_CTX* raw = context->get();
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(raw)
                                       : SSL_CTX_load_verify_file(raw, ca_file.c_str());
    if (loaded != 1) {
        return ssl_error("cannot read certificate authorities from " +
                         (ca_file.empty() ? "the system's store" : ca_file));
    }
    return context;
}

Status set_server_name(SSL& ssl, const std::string& name) {
    // SNI carries names only; an address is checked against the certificate all the same.
    const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(&ssl), name.c_str()) == 1;
    if (is_address) return {};
    ERR_clear_error();
    if (SSL_set1_host(&ssl, name.c_str()) != 1 ||
        SSL_set_tlsext_host_name(&ssl, name.c_str()) != 1) {
        return ssl_error("cannot set the server name " + name);
    }
    return {};
}

}  // namespace turnpike::net
