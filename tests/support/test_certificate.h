// A self-signed ECDSA certificate for localhost, written as PEM files for tests of TLS servers.
#pragma once

#include <string>

namespace turnpike::test {

// Valid for one day. The certificate is its own authority.
void write_test_certificate(const std::string& certificate_file, const std::string& key_file);

}  // namespace turnpike::test
