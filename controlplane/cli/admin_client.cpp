#include "controlplane/cli/admin_client.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "controlplane/cli/exit_code.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

ErrorCode code_of(int status) {
    switch (status) {
        case 400:
            return ErrorCode::kInvalidArgument;
        case 404:
            return ErrorCode::kNotFound;
        case 408:
            return ErrorCode::kTimeout;
        case 409:
            return ErrorCode::kConflict;
        default:
            return ErrorCode::kInternal;
    }
}

// The field that an error body names.
std::string param_of(const json& answer) {
    const json param = answer.value("/error/param"_json_pointer, json());
    return param.is_string() ? param.get<std::string>() : "";
}

}  // namespace

std::string find_variable(const std::string& name) {
    const char* from_environment = std::getenv(name.c_str());
    if (from_environment != nullptr && *from_environment != '\0') return from_environment;
    // The file that quickstart writes.
    const std::string prefix = "export " + name + "='";
    std::ifstream file(".turnpike/env");
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with(prefix) && line.ends_with('\''))
            return line.substr(prefix.size(), line.size() - prefix.size() - 1);
    }
    return {};
}

Result<net::NetAddress> find_admin_address(const std::string& flag) {
    const std::string text = flag.empty() ? find_variable("TURNPIKE_ADMIN") : flag;
    if (text.empty()) {
        return Error{ErrorCode::kUnavailable,
                     "no control plane is named: give --admin unix:PATH, set TURNPIKE_ADMIN, or "
                     "run in the folder of "
                     ".turnpike/",
                     {}};
    }
    return net::parse_address(text);
}

AdminClient::AdminClient(const net::NetAddress& address, std::chrono::milliseconds timeout)
    : client_([&] {
          net::HttpClientOptions options;
          options.address = address;
          options.timeout = timeout;
          return options;
      }()) {}

Result<json> AdminClient::call(std::string_view method,
                               const std::string& target,
                               const json& body) {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    if (!body.is_null()) {
        request.headers.add("content-type", "application/json");
        request.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
    }
    auto response = client_.send(request);
    if (!response) return Error{ErrorCode::kUnavailable, response.error().message, {}};
    if (response->status == 204) return json(nullptr);
    json answer = json::parse(response->body, nullptr, /*allow_exceptions=*/false);
    if (answer.is_discarded()) {
        return Error{
            ErrorCode::kCorrupt,
            "the control plane answered " + std::to_string(response->status) + " without JSON",
            {}};
    }
    if (response->status >= 200 && response->status < 300) return answer;
    const json message = answer.value("/error/message"_json_pointer, json());
    return Error{code_of(response->status),
                 message.is_string() ? message.get<std::string>()
                                     : "status " + std::to_string(response->status),
                 param_of(answer)};
}

std::string encode_component(std::string_view text) {
    constexpr char kHexDigits[] = "0123456789ABCDEF";
    std::string encoded;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                              (byte >= 'a' && byte <= 'z') || c == '-' || c == '.' || c == '_' ||
                              c == '~';
        if (is_plain) {
            encoded += c;
        } else {
            encoded += '%';
            encoded += kHexDigits[byte >> 4];
            encoded += kHexDigits[byte & 15];
        }
    }
    return encoded;
}

int report(const Error& error) {
    const bool is_unreachable = error.code == ErrorCode::kUnavailable;
    const std::string field = error.param.empty() ? "" : error.param + ": ";
    std::fprintf(stderr, "turnpike: %s%s%s\n", field.c_str(), error.message.c_str(),
                 is_unreachable
                     ? "\n  Is it running? ops/quickstart or `turnpike up --dir DIR` starts it."
                     : "");
    if (is_unreachable) return kUnreachable;
    return error.code == ErrorCode::kNotFound ? kNotFound : kFailed;
}

int fail_usage(const std::string& message) {
    std::fprintf(stderr, "turnpike: %s\nRun with --help for more information.\n", message.c_str());
    return kUsage;
}

}  // namespace turnpike::controlplane::cli
