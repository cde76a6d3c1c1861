// HTTP messages as plain values, for every server and client that is not the gateway's relay path.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace turnpike::net {

// In arrival order; names compare without case.
class HttpHeaders {
  public:
    HttpHeaders() = default;

    HttpHeaders(std::initializer_list<std::pair<std::string, std::string>> fields)
        : fields_(fields) {}

    void add(std::string name, std::string value) {
        fields_.emplace_back(std::move(name), std::move(value));
    }

    // The first value of that name, or an empty view.
    std::string_view get(std::string_view name) const;
    bool has(std::string_view name) const;

    auto begin() const { return fields_.begin(); }

    auto end() const { return fields_.end(); }

  private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpRequest {
    std::string method;
    std::string target;  // path and query, as sent
    HttpHeaders headers;
    std::string body;

    std::string_view path() const;  // target up to '?'
    // The decoded value of a query parameter, empty when absent.
    std::string query(std::string_view name) const;
};

struct HttpResponse {
    int status = 200;
    HttpHeaders headers;
    std::string body;
};

// The bytes of a request, with a host field (unless it has one) and the body's length.
std::string write_request(const HttpRequest& request, std::string_view host);

// "Not Found" for 404.
std::string_view reason_phrase(int status);

}  // namespace turnpike::net
