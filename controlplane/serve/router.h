// Router: (method, path pattern) to a function from request to response. A pattern's "{}" matches
// one path segment, and "{*}" the whole rest; what they matched is handed over, decoded, in order.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/base/error.h"
#include "config/net/http_message.h"
#include "config/net/http_server.h"

namespace turnpike::controlplane {

using PathArguments = std::vector<std::string>;

class Router {
  public:
    using Function =
        std::function<net::HttpResponse(const net::HttpRequest&, const PathArguments&)>;
    // Keeps the reply and answers when it likes; for long polls and group commits.
    using DeferredFunction = std::function<void(
        const net::HttpRequest&, const PathArguments&, const std::shared_ptr<net::HttpReply>&)>;

    // Before serving starts. The first route that matches is taken.
    void add(std::string method, const std::string& pattern, Function function);
    void add_deferred(std::string method, const std::string& pattern, DeferredFunction function);

    // Answers 404 for an unknown path and 405 with `allow` for an unknown method. Thread-safe once
    // all routes are added. The router outlives the server that calls it.
    void handle(const net::HttpRequest& request,
                const std::shared_ptr<net::HttpReply>& reply) const;
    // handle() as the function that HttpServer::start takes.
    net::HttpHandler handler() const;

  private:
    struct Route {
        std::string method;
        std::vector<std::string> segments;
        DeferredFunction function;
    };

    std::vector<Route> routes_;
};

// Responses. `json_text` is a whole JSON document.
net::HttpResponse json_response(int status, std::string json_text);
net::HttpResponse error_response(const Error& error);

}  // namespace turnpike::controlplane
