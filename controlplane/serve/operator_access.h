// Operators beyond the admin socket: the admin API on a listener of its own, behind operator keys.
// The keys' file has one "<name> <64 hex>" per line, the SHA-256 of the key: keys are random and
// long, so that a plain digest tells nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"
#include "config/crypto/digest.h"
#include "config/net/http_server.h"
#include "controlplane/serve/router.h"

namespace turnpike::controlplane {

class OperatorKeys {
  public:
    // kInvalidArgument names the line that is none; a file without keys is refused.
    static Result<OperatorKeys> load(const std::string& path);
    static Result<OperatorKeys> parse(std::string_view text, const std::string& path);

    // The operator's name for "Bearer <key>"; empty when there is none. Every key is compared, in
    // constant time.
    std::string find(std::string_view authorization) const;

  private:
    struct Key {
        std::string name;
        crypto::Digest digest;
    };

    std::vector<Key> keys_;
};

// 401 without a key; else what `router` answers. Both outlive the server.
net::HttpHandler operator_handler(const Router& router, const OperatorKeys& keys, Log& log);

}  // namespace turnpike::controlplane
