// Certificate: what a TLS certificate says of itself, so that its end is seen before it comes.
#pragma once

#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"

namespace turnpike::crypto {

struct Certificate {
    std::vector<std::string> names;  // DNS names and addresses that it is for, as it has them
    WallTime not_before = {};
    WallTime not_after = {};
};

// The first certificate of a PEM file, which is the server's own. kIo when it cannot be read,
// kCorrupt when it holds none.
Result<Certificate> read_certificate(const std::string& path);

// Whether the private key of a PEM file is the first certificate's. kIo and kCorrupt as above.
Result<bool> is_key_of(const std::string& key_path, const std::string& certificate_path);

}  // namespace turnpike::crypto
