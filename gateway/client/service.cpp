#include "gateway/client/service.h"

#include <algorithm>
#include <utility>

namespace turnpike::gateway::client {
namespace {

constexpr char kHowToSet[] = "\n  Where quickstart ran: . .turnpike/env";

Error missing(const char* flag, const char* variable) {
    return invalid_argument(std::string("give ") + flag + " or set " + variable + kHowToSet);
}

// Anything else could end the header that the key stands in.
bool is_token(const std::string& key) {
    return std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

Result<Service> find_service(const ServiceFlags& flags, const Environment& environment) {
    const auto chosen = [&](const std::string& flag, const char* variable) {
        return flag.empty() ? environment(variable) : flag;
    };
    Service service;
    service.base_url = chosen(flags.base_url, "TURNPIKE_BASE_URL");
    if (service.base_url.empty()) return missing("--base-url", "TURNPIKE_BASE_URL");
    auto url = net::parse_url(service.base_url);
    RETURN_IF_ERROR(url);
    service.options = std::move(url->options);
    service.path = std::move(url->path);
    service.options.ca_file = chosen(flags.ca_file, "TURNPIKE_CA_CERT");
    service.api_key = Secret(chosen(flags.api_key, "TURNPIKE_API_KEY"));
    if (service.api_key.empty() && !flags.may_lack_key)
        return missing("--api-key", "TURNPIKE_API_KEY");
    if (!is_token(service.api_key.reveal()))
        return invalid_argument("the API key holds a space or another character that no key has");
    return service;
}

}  // namespace turnpike::gateway::client
