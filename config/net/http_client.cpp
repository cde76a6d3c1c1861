#include "config/net/http_client.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <charconv>
#include <utility>

#include "config/base/clock.h"
#include "config/net/client_connection.h"
#include "config/net/http_response_parser.h"

namespace turnpike::net {

namespace {

using OnData = std::function<bool(std::string_view)>;

// "unix:/run/x.sock" or "unix:/run/x.sock:/v1".
Result<ParsedUrl> parse_unix_url(std::string_view url) {
    // The first one after the scheme: a socket's own path holds none.
    const std::size_t colon = url.find(":/", std::string_view("unix:").size());
    const bool has_path = colon != std::string_view::npos;
    ParsedUrl parsed;
    auto address = parse_address(url.substr(0, has_path ? colon : url.size()));
    RETURN_IF_ERROR(address);
    parsed.options.address = std::move(*address);
    if (has_path) parsed.path = url.substr(colon + 1);
    while (parsed.path.ends_with('/')) parsed.path.pop_back();
    return parsed;
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
    HttpResponseParser parser(on_data, is_head);
    std::array<char, 16 * 1024> buffer{};
    while (!parser.is_done() && !parser.was_stopped()) {
        const auto taken = connection->read_some(buffer, until);
        RETURN_IF_ERROR(taken);
        had_reply = had_reply || *taken > 0;
        if (on_data) until = deadline(options.timeout);
        if (*taken == 0) {
            if (const Status status = parser.finish(); !status) {
                return Error{status.error().code,
                             to_string(options.address) + " " + status.error().message,
                             {}};
            }
            break;
        }
        if (const Status status = parser.feed({buffer.data(), *taken}); !status) {
            return Error{
                status.error().code,
                to_string(options.address) + " did not answer in HTTP: " + status.error().message,
                {}};
        }
    }
    if (!parser.may_keep_connection()) connection.reset();
    return std::move(parser.response());
}

Result<HttpResponse> HttpClient::Impl::exchange(const HttpRequest& request, const OnData& on_data) {
    const std::string bytes = write_request(request, host_of(options.address));
    const bool was_idle = connection.has_value();
    bool had_reply = false;
    auto outcome = attempt(bytes, request.method == "HEAD", on_data, had_reply);
    if (outcome) return outcome;
    connection.reset();
    const bool may_be_stale = was_idle && !had_reply && outcome.error().code == ErrorCode::kIo;
    if (!may_be_stale) return outcome;
    outcome = attempt(bytes, request.method == "HEAD", on_data, had_reply);
    if (outcome) return outcome;
    connection.reset();
    // The first attempt was sent, and may have been heard.
    if (outcome.error().code == ErrorCode::kUnavailable)
        return Error{ErrorCode::kIo, outcome.error().message, {}};
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

TlsFiles tls_files(const HttpClientOptions& options) {
    return {options.certificate_file, options.key_file, options.ca_file};
}

Result<HttpClientOptions> peer_options(std::string_view address,
                                       const std::optional<TlsFiles>& files,
                                       std::string_view server_name) {
    auto parsed = parse_address(address);
    RETURN_IF_ERROR(parsed);
    HttpClientOptions options;
    options.address = std::move(*parsed);
    if (!options.address.is_tls) return options;
    if (!files) {
        return invalid_argument("no TLS certificate of our own is set for " +
                                to_string(options.address));
    }
    options.use_tls = true;
    options.certificate_file = files->certificate;
    options.key_file = files->key;
    options.ca_file = files->ca;
    options.server_name = server_name;
    return options;
}

Result<ParsedUrl> parse_url(std::string_view url) {
    const Error bad = invalid_argument(
        "expected a URL like https://localhost:8443/v1 or unix:/run/x.sock:/v1, found '" +
        excerpt(url) + "'");
    if (url.starts_with("unix:")) return parse_unix_url(url);
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
