#include "tests/support/test_ca.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "config/base/check.h"

namespace turnpike::test {
namespace {

using Key = UniqueHandle<EVP_PKEY*, &EVP_PKEY_free>;
using Certificate = UniqueHandle<X509*, &X509_free>;
using Extension = UniqueHandle<X509_EXTENSION*, &X509_EXTENSION_free>;

struct FileCloser {
    void operator()(FILE* file) const { CHECK(std::fclose(file) == 0); }
};

using File = std::unique_ptr<FILE, FileCloser>;

void add_extension(X509& certificate, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, &certificate, &certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    CHECK(extension != nullptr);
    CHECK(X509_add_ext(&certificate, extension.get(), -1) == 1);
}

// Valid from two days ago until yesterday or tomorrow; not signed yet.
Certificate make_certificate(EVP_PKEY& key, const char* name, long serial, bool is_expired) {
    constexpr long kDay = 24L * 3600;
    Certificate certificate(X509_new());
    CHECK(certificate != nullptr);
    X509* raw = certificate.get();
    X509_set_version(raw, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(raw), serial);
    X509_gmtime_adj(X509_getm_notBefore(raw), -2 * kDay);
    X509_gmtime_adj(X509_getm_notAfter(raw), is_expired ? -kDay : kDay);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(raw), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_pubkey(raw, &key);
    return certificate;
}

void write_certificate(const std::string& path, X509& certificate) {
    const File file(std::fopen(path.c_str(), "w"));
    CHECK(file != nullptr);
    CHECK(PEM_write_X509(file.get(), &certificate) == 1);
}

}  // namespace

TestCa::TestCa(const std::string& ca_file) : key_(EVP_EC_gen("P-256")) {
    CHECK(key_ != nullptr);
    certificate_ = make_certificate(*key_, "Test CA", 1, false);
    X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
    add_extension(*certificate_, NID_basic_constraints, "critical,CA:TRUE");
    CHECK(X509_sign(certificate_.get(), key_.get(), EVP_sha256()) > 0);
    write_certificate(ca_file, *certificate_);
}

void TestCa::issue(const std::string& certificate_file,
                   const std::string& key_file,
                   const LeafOptions& options) const {
    const Key key(EVP_EC_gen("P-256"));
    CHECK(key != nullptr);
    const Certificate leaf = make_certificate(*key, options.common_name, 2, options.is_expired);
    X509_set_issuer_name(leaf.get(), X509_get_subject_name(certificate_.get()));
    add_extension(*leaf, NID_subject_alt_name, options.names);
    CHECK(X509_sign(leaf.get(), key_.get(), EVP_sha256()) > 0);
    write_certificate(certificate_file, *leaf);
    const File file(std::fopen(key_file.c_str(), "w"));
    CHECK(file != nullptr);
    CHECK(PEM_write_PrivateKey(file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
}

}  // namespace turnpike::test
