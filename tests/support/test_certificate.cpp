#include "tests/support/test_certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "config/base/check.h"
#include "config/base/unique_handle.h"

namespace turnpike::test {
namespace {

using Key = UniqueHandle<EVP_PKEY*, &EVP_PKEY_free>;
using Certificate = UniqueHandle<X509*, &X509_free>;
using File = UniqueHandle<FILE*, &std::fclose>;

void add_names(X509& certificate) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, &certificate, &certificate, nullptr, nullptr, 0);
    UniqueHandle<X509_EXTENSION*, &X509_EXTENSION_free> names(
        X509V3_EXT_conf_nid(nullptr, &context, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"));
    CHECK(names != nullptr);
    CHECK(X509_add_ext(&certificate, names.get(), -1) == 1);
}

Certificate make_certificate(EVP_PKEY& key) {
    Certificate certificate(X509_new());
    CHECK(certificate != nullptr);
    X509* raw = certificate.get();
    X509_set_version(raw, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(raw), 1);
    X509_gmtime_adj(X509_getm_notBefore(raw), -60);
    X509_gmtime_adj(X509_getm_notAfter(raw), 24L * 3600);
    X509_NAME* name = X509_get_subject_name(raw);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(raw, name);
    X509_set_pubkey(raw, &key);
    add_names(*raw);
    CHECK(X509_sign(raw, &key, EVP_sha256()) > 0);
    return certificate;
}

}  // namespace

void write_test_certificate(const std::string& certificate_file, const std::string& key_file) {
    const Key key(EVP_EC_gen("P-256"));
    CHECK(key != nullptr);
    const Certificate certificate = make_certificate(*key);
    const File certificate_out(std::fopen(certificate_file.c_str(), "w"));
    CHECK(certificate_out != nullptr);
    CHECK(PEM_write_X509(certificate_out.get(), certificate.get()) == 1);
    const File key_out(std::fopen(key_file.c_str(), "w"));
    CHECK(key_out != nullptr);
    CHECK(PEM_write_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
          1);
}

}  // namespace turnpike::test
