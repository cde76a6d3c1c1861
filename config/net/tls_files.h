// TlsFiles: the PEM files of one side of a TLS connection.
#pragma once

#include <string>

namespace turnpike::net {

struct TlsFiles {
    std::string certificate;  // our own, with those between it and its authority
    std::string key;          // of the certificate
    std::string ca;           // authorities of the peers' certificates
};

}  // namespace turnpike::net
