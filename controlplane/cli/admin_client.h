// AdminClient: calls of the admin API, and what to say when one fails.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "config/base/result.h"
#include "config/net/http_client.h"

namespace turnpike::controlplane::cli {

// The environment variable, else its line of .turnpike/env in the working directory, else empty.
std::string find_variable(const std::string& name);

// `flag` when it is not empty, else TURNPIKE_ADMIN, else .turnpike/env in the working directory.
// kUnavailable when none of them names a socket.
Result<net::NetAddress> find_admin_address(const std::string& flag);

class AdminClient {
  public:
    explicit AdminClient(const net::NetAddress& address,
                         std::chrono::milliseconds timeout = std::chrono::seconds(30));

    // The JSON body of a 2xx answer (null for 204). An HTTP error comes back as an Error with the
    // server's message and its status' code; kIo and kTimeout mean that nobody answered.
    Result<nlohmann::json> call(std::string_view method,
                                const std::string& target,
                                const nlohmann::json& body = nullptr);

  private:
    net::HttpClient client_;
};

// Percent-encodes a path segment or a query value.
std::string encode_component(std::string_view text);

// One line on stderr with a next step; returns the exit code that fits.
int report(const Error& error);
// The same of a command line that cannot be meant: kUsage.
int fail_usage(const std::string& message);

}  // namespace turnpike::controlplane::cli
