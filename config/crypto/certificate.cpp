#include "config/crypto/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <optional>

#include "config/base/read_file.h"
#include "config/base/unique_handle.h"

namespace turnpike::crypto {
namespace {

using Bio = UniqueHandle<BIO*, &BIO_free_all>;
using X509Handle = UniqueHandle<X509*, &X509_free>;
using Key = UniqueHandle<EVP_PKEY*, &EVP_PKEY_free>;
using Names = UniqueHandle<GENERAL_NAMES*, &GENERAL_NAMES_free>;

// Never a prompt for a passphrase: a server could not answer it either.
int no_passphrase(char*, int, int, void*) {
    return 0;
}

Error no_pem(const std::string& path, const char* what) {
    ERR_clear_error();
    return Error{ErrorCode::kCorrupt, path + ": expected " + what + " in PEM", {}};
}

Bio bio_of(const std::string& text) {
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<X509Handle> load_certificate(const std::string& path) {
    const auto text = read_file("certificate", path);
    RETURN_IF_ERROR(text);
    const Bio bio = bio_of(*text);
    X509Handle certificate(PEM_read_bio_X509(bio.get(), nullptr, &no_passphrase, nullptr));
    if (certificate.get() == nullptr) return no_pem(path, "a certificate");
    return certificate;
}

std::optional<WallTime> time_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
    return from_unix_us(std::int64_t{::timegm(&parts)} * 1'000'000);
}

std::string text_of(const ASN1_STRING* text) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
            static_cast<std::size_t>(ASN1_STRING_length(text))};
}

// Empty when it is no IP address.
std::string address_of(const ASN1_STRING* bytes) {
    const int length = ASN1_STRING_length(bytes);
    if (length != 4 && length != 16) return {};
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = length == 4 ? AF_INET : AF_INET6;
    if (::inet_ntop(family, ASN1_STRING_get0_data(bytes), text.data(), text.size()) == nullptr)
        return {};
    return text.data();
}

std::vector<std::string> names_of(const X509* certificate) {
    std::vector<std::string> names;
    const Names found(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    if (found.get() == nullptr) return names;
    for (int i = 0; i < sk_GENERAL_NAME_num(found.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(found.get(), i);
        std::string text;
        if (name->type == GEN_DNS) text = text_of(name->d.dNSName);
        if (name->type == GEN_IPADD) text = address_of(name->d.iPAddress);
        if (!text.empty()) names.push_back(std::move(text));
    }
    return names;
}

}  // namespace

Result<Certificate> read_certificate(const std::string& path) {
    const auto loaded = load_certificate(path);
    RETURN_IF_ERROR(loaded);
    const auto not_before = time_of(X509_get0_notBefore(loaded->get()));
    const auto not_after = time_of(X509_get0_notAfter(loaded->get()));
    if (!not_before || !not_after) return no_pem(path, "a certificate with a time of validity");
    return Certificate{names_of(loaded->get()), *not_before, *not_after};
}

Result<bool> is_key_of(const std::string& key_path, const std::string& certificate_path) {
    const auto certificate = load_certificate(certificate_path);
    RETURN_IF_ERROR(certificate);
    const auto text = read_file("private key", key_path);
    RETURN_IF_ERROR(text);
    const Bio bio = bio_of(*text);
    const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_passphrase, nullptr));
    if (key.get() == nullptr) return no_pem(key_path, "a private key without a passphrase");
    const bool belongs = X509_check_private_key(certificate->get(), key.get()) == 1;
    ERR_clear_error();
    return belongs;
}

}  // namespace turnpike::crypto
