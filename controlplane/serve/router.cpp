// Matching of routes, and the shapes of answers.
#include "controlplane/serve/router.h"

#include <optional>
#include <string_view>
#include <utility>

#include "engine/api/api_error.h"

namespace turnpike::controlplane {
namespace {

constexpr std::string_view kOne = "{}";
constexpr std::string_view kRest = "{*}";

std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> segments;
    std::size_t begin = path.starts_with('/') ? 1 : 0;
    while (begin <= path.size()) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        segments.emplace_back(path.substr(begin, end - begin));
        begin = end + 1;
    }
    return segments;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// "%2F" to "/"; a '%' without two digits stays as it is.
std::string decode(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (text[i] == '%' && high >= 0 && low >= 0) {
            decoded += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}

// What the placeholders matched, or nothing when the path is another one.
std::optional<PathArguments> match(const std::vector<std::string>& pattern,
                                   const std::vector<std::string>& path) {
    PathArguments arguments;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (i >= path.size()) return std::nullopt;
        if (pattern[i] == kRest) {
            std::string rest = decode(path[i]);
            for (std::size_t j = i + 1; j < path.size(); ++j) rest += "/" + decode(path[j]);
            arguments.push_back(std::move(rest));
            return arguments;
        }
        if (pattern[i] == kOne && !path[i].empty()) {
            arguments.push_back(decode(path[i]));
        } else if (pattern[i] != path[i]) {
            return std::nullopt;
        }
    }
    if (path.size() != pattern.size()) return std::nullopt;
    return arguments;
}

}  // namespace

void Router::add(std::string method, const std::string& pattern, Function function) {
    add_deferred(std::move(method), pattern,
                 [function = std::move(function)](const net::HttpRequest& request,
                                                  const PathArguments& arguments,
                                                  const std::shared_ptr<net::HttpReply>& reply) {
                     reply->respond(function(request, arguments));
                 });
}

void Router::add_deferred(std::string method,
                          const std::string& pattern,
                          DeferredFunction function) {
    routes_.push_back({std::move(method), split(pattern), std::move(function)});
}

void Router::handle(const net::HttpRequest& request,
                    const std::shared_ptr<net::HttpReply>& reply) const {
    const std::vector<std::string> path = split(request.path());
    std::string allowed;
    for (const Route& route : routes_) {
        const auto arguments = match(route.segments, path);
        if (!arguments) continue;
        if (route.method == request.method) {
            route.function(request, *arguments, reply);
            return;
        }
        allowed += (allowed.empty() ? "" : ", ") + route.method;
    }
    if (allowed.empty()) {
        reply->respond(
            error_response({ErrorCode::kNotFound,
                            "no route " + request.method + " " + std::string(request.path()),
                            {}}));
        return;
    }
    net::HttpResponse response =
        error_response({ErrorCode::kMethodNotAllowed,
                        request.method + " is not allowed here; " + allowed + " is",
                        {}});
    response.headers.add("allow", allowed);
    reply->respond(std::move(response));
}

net::HttpHandler Router::handler() const {
    return [this](const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply) {
        handle(request, reply);
    };
}

net::HttpResponse json_response(int status, std::string json_text) {
    return {status, {{"content-type", "application/json"}}, std::move(json_text)};
}

net::HttpResponse error_response(const Error& error) {
    return json_response(engine::http_status(error.code), engine::write_error("", error));
}

}  // namespace turnpike::controlplane
