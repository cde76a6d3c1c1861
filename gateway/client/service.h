// Service: where the public API is and who asks it, from flags and the environment.
#pragma once

#include <functional>
#include <string>

#include "config/base/result.h"
#include "config/base/secret.h"
#include "config/net/http_client.h"

namespace turnpike::gateway::client {

struct ServiceFlags {  // empty: not given
    std::string base_url;
    std::string api_key;
    std::string ca_file;
    bool may_lack_key = false;  // a server of one's own may ask for none
};

struct Service {
    std::string base_url;  // as given, for people
    net::HttpClientOptions options;
    std::string path;  // prefix of every route, "/v1"
    Secret api_key;    // empty: none is sent
};

// The value of an environment variable, empty when it is not set.
using Environment = std::function<std::string(const char* name)>;

// A flag wins over its variable: TURNPIKE_BASE_URL, TURNPIKE_API_KEY, TURNPIKE_CA_CERT. Without a
// CA file the system's authorities are trusted. kInvalidArgument says what is missing or malformed.
Result<Service> find_service(const ServiceFlags& flags, const Environment& environment);

}  // namespace turnpike::gateway::client
