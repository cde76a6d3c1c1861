// TestCa: a certificate authority of the test's own and the certificates that it signs, as PEM
// files.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <string>

#include "config/base/unique_handle.h"

namespace turnpike::test {

struct LeafOptions {
    std::string names = "DNS:localhost,IP:127.0.0.1";  // subjectAltName
    bool is_expired = false;
    const char* common_name = "test server";
};

class TestCa {
  public:
    // Writes the authority's own certificate to `ca_file`.
    explicit TestCa(const std::string& ca_file);

    void issue(const std::string& certificate_file,
               const std::string& key_file,
               const LeafOptions& options = {}) const;

  private:
    UniqueHandle<EVP_PKEY*, &EVP_PKEY_free> key_;
    UniqueHandle<X509*, &X509_free> certificate_;
};

}  // namespace turnpike::test
