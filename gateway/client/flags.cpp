#include "gateway/client/flags.h"

#include <charconv>
#include <cstdlib>

namespace turnpike::gateway::client {

CLI::Validator number(const std::function<bool(double)>& is_fine, const std::string& expected) {
    return CLI::Validator(
        [is_fine, expected](const std::string& text) {
            double value = 0;
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), value);
            const bool is_whole = error == std::errc() && end == text.data() + text.size();
            if (is_whole && is_fine(value)) return std::string();
            return "expected " + expected + ", found '" + text + "'";
        },
        "");
}

void declare_service(CLI::App& app, ServiceFlags& service) {
    app.add_option("--base-url", service.base_url,
                   "such as https://localhost:8443/v1 (TURNPIKE_BASE_URL)")
        ->type_name("URL");
    app.add_option("--api-key", service.api_key,
                   "better TURNPIKE_API_KEY: everybody on this host sees a command line")
        ->type_name("KEY");
    app.add_option("--ca-cert", service.ca_file,
                   "PEM of the server's authority (TURNPIKE_CA_CERT), else the system's")
        ->type_name("FILE");
}

std::string environment_value(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

}  // namespace turnpike::gateway::client
