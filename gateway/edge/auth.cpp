#include "gateway/edge/auth.h"

#include "config/crypto/identifiers.h"
#include "gateway/edge/header_scan.h"

namespace turnpike::gateway {

using controlplane::KeyRow;

namespace {

Error unauthenticated() {
    return Error{ErrorCode::kUnauthenticated,
                 "no valid API key: send 'Authorization: Bearer <key>' with a key that exists and "
                 "has not expired",
                 {}};
}

// RFC 9110, section 11.1: the scheme's case does not matter.
std::string_view bearer_token(std::string_view authorization) {
    constexpr std::string_view kScheme = "bearer ";
    if (!equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) return {};
    authorization.remove_prefix(kScheme.size());
    while (authorization.starts_with(' ')) authorization.remove_prefix(1);
    return authorization;
}

}  // namespace

Authenticator::Authenticator(const crypto::Peppers& peppers) {
    for (auto entry = peppers.by_version.rbegin(); entry != peppers.by_version.rend(); ++entry) {
        peppers_.push_back(Pepper{entry->first, crypto::HmacSha256(entry->second)});
    }
}

Result<const KeyRow*> Authenticator::authenticate(std::string_view authorization,
                                                  const Directory& directory,
                                                  WallTime now) {
    const std::string_view key = bearer_token(authorization);
    if (!crypto::is_well_formed_api_key(key)) return unauthenticated();
    for (Pepper& pepper : peppers_) {
        // An equal MAC under the secret pepper is an equal key: nothing is left to compare.
        const KeyRow* row = directory.find_key(pepper.hmac.compute(key));
        if (row == nullptr || row->pepper_version != pepper.version) continue;
        const bool has_expired = row->expires_at && *row->expires_at <= now;
        if (has_expired) return unauthenticated();
        return row;
    }
    return unauthenticated();
}

}  // namespace turnpike::gateway
