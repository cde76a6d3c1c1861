#include "controlplane/serve/operator_access.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace turnpike::controlplane {
namespace {

constexpr std::string_view kScheme = "Bearer ";

Result<crypto::Digest> parse_digest(std::string_view hex) {
    const auto bytes = crypto::from_hex(hex);
    crypto::Digest digest{};
    if (!bytes || bytes->size() != digest.size())
        return invalid_argument("expected 64 hexadecimal digits");
    std::copy(bytes->begin(), bytes->end(), digest.begin());
    return digest;
}

}  // namespace

Result<OperatorKeys> OperatorKeys::load(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) return Error{ErrorCode::kIo, "cannot read " + path, {}};
    return parse(text.str(), path);
}

Result<OperatorKeys> OperatorKeys::parse(std::string_view text, const std::string& path) {
    OperatorKeys keys;
    std::istringstream lines{std::string(text)};
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
        ++number;
        if (line.empty()) continue;
        const std::size_t space = line.find(' ');
        const auto digest = parse_digest(space == std::string::npos ? "" : line.substr(space + 1));
        if (!digest || space == 0) {
            return invalid_argument(path + ":" + std::to_string(number) +
                                    ": expected a name, a space and the key's SHA-256 in hex");
        }
        keys.keys_.push_back({line.substr(0, space), *digest});
    }
    if (keys.keys_.empty()) return invalid_argument(path + ": expected at least one operator key");
    return keys;
}

std::string OperatorKeys::find(std::string_view authorization) const {
    std::string name;
    if (!authorization.starts_with(kScheme)) return name;
    const crypto::Digest digest = crypto::sha256(authorization.substr(kScheme.size()));
    for (const Key& key : keys_) {
        if (crypto::equal_constant_time(digest, key.digest)) name = key.name;
    }
    return name;
}

net::HttpHandler operator_handler(const Router& router, const OperatorKeys& keys, Log& log) {
    return [&](const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply) {
        const std::string name = keys.find(request.headers.get("authorization"));
        if (name.empty()) {
            reply->respond(error_response({ErrorCode::kUnauthenticated,
                                           "no valid operator key: send 'Authorization: Bearer "
                                           "<key>'",
                                           {}}));
            return;
        }
        if (request.method != "GET") {
            log.info("operator_request", {{"operator", name},
                                          {"method", request.method},
                                          {"path", std::string(request.path())}});
        }
        router.handle(request, reply);
    };
}

}  // namespace turnpike::controlplane
