// Authenticator: from an Authorization header to a key of the directory. One per thread, since the
// keyed HMAC states are not thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "config/crypto/digest.h"
#include "config/crypto/pepper.h"
#include "gateway/policy/directory.h"

namespace turnpike::gateway {

class Authenticator {
  public:
    explicit Authenticator(const crypto::Peppers& peppers);

    // The key's row, which lives as long as `directory`. Every failure is the same
    // kUnauthenticated: a caller cannot learn whether a key is malformed, unknown, revoked or
    // expired.
    Result<const controlplane::KeyRow*> authenticate(std::string_view authorization,
                                                     const Directory& directory,
                                                     WallTime now);

  private:
    struct Pepper {
        int version = 0;
        crypto::HmacSha256 hmac;
    };

    std::vector<Pepper> peppers_;  // newest first: most keys are younger than the last rotation
};

}  // namespace turnpike::gateway
