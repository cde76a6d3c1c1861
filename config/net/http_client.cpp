#include "config/net/http_client.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "config/base/clock.h"
#include "config/net/client_connection.h"

namespace turnpike::net {

namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

using OnData = std::function<bool(std::string_view)>;

// Takes a response apart; each piece of the body goes to `on_body` as it is met.
class ResponseParser final : public http::basic_parser<false> {
  public:
    explicit ResponseParser(OnData on_body) : on_body_(std::move(on_body)) {
        body_limit(boost::none);
        eager(true);
    }

    HttpResponse& response() { return response_; }

    bool was_stopped() const { return was_stopped_; }

  private:
    void on_request_impl(
        http::verb, beast::string_view, beast::string_view, int, beast::error_code&) override {}

    void on_response_impl(int status, beast::string_view, int, beast::error_code&) override {
        response_.status = status;
    }

    void on_field_impl(http::field,
                       beast::string_view name,
                       beast::string_view value,
                       beast::error_code&) override {
        response_.headers.add(std::string(name), std::string(value));
    }

    void on_header_impl(beast::error_code&) override {}

    void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}

    std::size_t on_body_impl(beast::string_view body, beast::error_code& error) override {
        return take(body, error);
    }

    void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}

    std::size_t on_chunk_body_impl(std::uint64_t,
                                   beast::string_view body,
                                   beast::error_code& error) override {
        return take(body, error);
    }

    void on_finish_impl(beast::error_code&) override {}

    std::size_t take(beast::string_view body, beast::error_code& error) {
        const std::string_view bytes(body.data(), body.size());
        const bool is_success = response_.status >= 200 && response_.status < 300;
        if (!on_body_ || !is_success) {
            response_.body += bytes;
        } else if (!on_body_(bytes)) {
            was_stopped_ = true;
            error = http::error::end_of_stream;
        }
        return body.size();
    }

    OnData on_body_;
    HttpResponse response_;
    bool was_stopped_ = false;
};

std::string serialise(const HttpRequest& request, const HttpClientOptions& options) {
    std::string bytes = request.method + " " + request.target + " HTTP/1.1\r\n";
    if (!request.headers.has("host")) {
        const NetAddress& address = options.address;
        bytes +=
            "host: " +
            (address.is_unix() ? "localhost" : address.host + ":" + std::to_string(address.port)) +
            "\r\n";
    }
    for (const auto& [name, value] : request.headers) bytes += name + ": " + value + "\r\n";
    if (!request.body.empty() || request.method == "POST" || request.method == "PATCH") {
        bytes += "content-length: " + std::to_string(request.body.size()) + "\r\n";
    }
    bytes += "\r\n";
    bytes += request.body;
    return bytes;
}

}  // namespace

struct HttpClient::Impl {
    explicit Impl(HttpClientOptions client_options) : options(std::move(client_options)) {
        cancel_fd = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        CHECK(cancel_fd.is_open());
    }

    HttpClientOptions options;
    UniqueFd cancel_fd;
    std::optional<ClientConnection> connection;
    SystemClock clock;

    bool is_cancelled() const {
        pollfd fd{cancel_fd.get(), POLLIN, 0};
        return ::poll(&fd, 1, 0) > 0;
    }

    ClientConnection::Deadline deadline(std::chrono::milliseconds timeout) const {
        return clock.steady_now() + timeout;
    }

    // `had_reply` tells whether any byte of the reply came.
    Result<HttpResponse> attempt(const std::string& bytes,
                                 bool is_head,
                                 const OnData& on_data,
                                 bool& had_reply);
    Result<HttpResponse> exchange(const HttpRequest& request, const OnData& on_data);
};

Result<HttpResponse> HttpClient::Impl::attempt(const std::string& bytes,
                                               bool is_head,
                                               const OnData& on_data,
                                               bool& had_reply) {
    if (is_cancelled()) return Error{ErrorCode::kIo, "the client was cancelled", {}};
    if (!connection) {
        auto opened =
            ClientConnection::open(options, cancel_fd.get(), deadline(options.connect_timeout));
        RETURN_IF_ERROR(opened);
        connection.emplace(std::move(*opened));
    }
    auto until = deadline(options.timeout);
    RETURN_IF_ERROR(connection->write_all(bytes, until));
    ResponseParser parser(on_data);
    if (is_head) parser.skip(true);
    std::string pending;
    std::array<char, 16 * 1024> buffer{};
    beast::error_code error;
    while (!parser.is_done()) {
        const auto taken = connection->read_some(buffer, until);
        RETURN_IF_ERROR(taken);
        had_reply = had_reply || *taken > 0;
        if (on_data) until = deadline(options.timeout);
        if (*taken == 0) {
            if (parser.got_some()) parser.put_eof(error);
            if (error || !parser.is_done()) {
                return Error{ErrorCode::kIo,
                             to_string(options.address) +
                                 " closed the connection before the end of its reply",
                             {}};
            }
            break;
        }
        pending.append(buffer.data(), *taken);
        while (!pending.empty() && !parser.is_done()) {
            const std::size_t used = parser.put(boost::asio::buffer(pending), error);
            pending.erase(0, used);
            if (parser.was_stopped()) break;
            if (error == http::error::need_more) break;
            if (error)
                return Error{
                    ErrorCode::kCorrupt,
                    to_string(options.address) + " did not answer in HTTP: " + error.message(),
                    {}};
            if (used == 0) break;
        }
        if (parser.was_stopped()) break;
    }
    if (parser.was_stopped() || !parser.keep_alive() || !pending.empty()) connection.reset();
    return std::move(parser.response());
}

Result<HttpResponse> HttpClient::Impl::exchange(const HttpRequest& request, const OnData& on_data) {
    const std::string bytes = serialise(request, options);
    const bool was_idle = connection.has_value();
    bool had_reply = false;
    auto outcome = attempt(bytes, request.method == "HEAD", on_data, had_reply);
    if (outcome) return outcome;
    connection.reset();
    const bool may_be_stale = was_idle && !had_reply && outcome.error().code == ErrorCode::kIo;
    if (!may_be_stale) return outcome;
    outcome = attempt(bytes, request.method == "HEAD", on_data, had_reply);
    if (!outcome) connection.reset();
    return outcome;
}

HttpClient::HttpClient(HttpClientOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Result<HttpResponse> HttpClient::send(const HttpRequest& request) {
    return impl_->exchange(request, nullptr);
}

Result<HttpResponse> HttpClient::stream(const HttpRequest& request, const OnData& on_data) {
    return impl_->exchange(request, on_data);
}

void HttpClient::cancel() {
    const std::uint64_t one = 1;
    // The counter cannot overflow: it is never near 2^64.
    CHECK(::write(impl_->cancel_fd.get(), &one, sizeof one) == sizeof one);
}

Result<ParsedUrl> parse_url(std::string_view url) {
    const Error bad = invalid_argument("expected a URL like https://localhost:8443/v1, found '" +
                                       excerpt(url) + "'");
    ParsedUrl parsed;
    parsed.options.use_tls = url.starts_with("https://");
    if (!parsed.options.use_tls && !url.starts_with("http://")) return bad;
    const std::string_view rest = url.substr(parsed.options.use_tls ? 8 : 7);
    const std::size_t slash = rest.find('/');
    const std::string_view authority = rest.substr(0, slash);
    parsed.path = slash == std::string_view::npos ? "" : std::string(rest.substr(slash));
    while (parsed.path.ends_with('/')) parsed.path.pop_back();
    const std::size_t bracket = authority.find(']');
    const bool has_port = authority.find(':', bracket == std::string_view::npos ? 0 : bracket) !=
                          std::string_view::npos;
    const std::string default_port = parsed.options.use_tls ? ":443" : ":80";
    auto address = parse_address("tcp:" + std::string(authority) + (has_port ? "" : default_port));
    if (!address) return bad;
    parsed.options.address = std::move(*address);
    return parsed;
}

}  // namespace turnpike::net
