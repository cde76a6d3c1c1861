#include "config/net/http_response_parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <string>
#include <utility>

namespace turnpike::net {

namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

class BodyParser final : public http::basic_parser<false> {
  public:
    explicit BodyParser(HttpResponseParser::OnBody on_body) : on_body_(std::move(on_body)) {
        body_limit(boost::none);
        eager(true);
    }

    HttpResponse response;
    bool was_stopped = false;

  private:
    void on_request_impl(
        http::verb, beast::string_view, beast::string_view, int, beast::error_code&) override {}

    void on_response_impl(int status, beast::string_view, int, beast::error_code&) override {
        response.status = status;
    }

    void on_field_impl(http::field,
                       beast::string_view name,
                       beast::string_view value,
                       beast::error_code&) override {
        response.headers.add(std::string(name), std::string(value));
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
        const bool is_success = response.status >= 200 && response.status < 300;
        if (!on_body_ || !is_success) {
            response.body += bytes;
        } else if (!on_body_(bytes)) {
            was_stopped = true;
            error = http::error::end_of_stream;
        }
        return body.size();
    }

    HttpResponseParser::OnBody on_body_;
};

}  // namespace

struct HttpResponseParser::Impl {
    explicit Impl(OnBody on_body) : parser(std::move(on_body)) {}

    // Parses what can be, and returns how much that was.
    Result<std::size_t> parse(std::string_view bytes) {
        std::size_t num_used = 0;
        while (num_used < bytes.size() && !parser.is_done()) {
            beast::error_code error;
            const std::string_view rest = bytes.substr(num_used);
            const std::size_t used =
                parser.put(boost::asio::buffer(rest.data(), rest.size()), error);
            num_used += used;
            if (parser.was_stopped || error == http::error::need_more) break;
            if (error) return Error{ErrorCode::kCorrupt, error.message(), {}};
            if (used == 0) break;
        }
        return num_used;
    }

    BodyParser parser;
    std::string pending;  // taken, but not yet enough to be parsed
    bool has_bytes = false;
};

HttpResponseParser::HttpResponseParser(OnBody on_body, bool is_head)
    : impl_(std::make_unique<Impl>(std::move(on_body))) {
    if (is_head) impl_->parser.skip(true);
}

HttpResponseParser::~HttpResponseParser() = default;
HttpResponseParser::HttpResponseParser(HttpResponseParser&&) noexcept = default;
HttpResponseParser& HttpResponseParser::operator=(HttpResponseParser&&) noexcept = default;

Status HttpResponseParser::feed(std::string_view bytes) {
    impl_->has_bytes = impl_->has_bytes || !bytes.empty();
    if (impl_->pending.empty()) {
        // The usual case copies nothing.
        const auto used = impl_->parse(bytes);
        RETURN_IF_ERROR(used);
        impl_->pending = bytes.substr(*used);
        return {};
    }
    impl_->pending += bytes;
    const auto used = impl_->parse(impl_->pending);
    RETURN_IF_ERROR(used);
    impl_->pending.erase(0, *used);
    return {};
}

Status HttpResponseParser::finish() {
    beast::error_code error;
    if (impl_->parser.got_some()) impl_->parser.put_eof(error);
    if (!error && impl_->parser.is_done()) return {};
    return Error{ErrorCode::kIo, "closed the connection before the end of its reply", {}};
}

bool HttpResponseParser::has_bytes() const {
    return impl_->has_bytes;
}

bool HttpResponseParser::has_head() const {
    return impl_->parser.is_header_done();
}

bool HttpResponseParser::is_done() const {
    return impl_->parser.is_done();
}

bool HttpResponseParser::was_stopped() const {
    return impl_->parser.was_stopped;
}

bool HttpResponseParser::may_keep_connection() const {
    return !was_stopped() && impl_->parser.keep_alive() && impl_->pending.empty();
}

HttpResponse& HttpResponseParser::response() {
    return impl_->parser.response;
}

}  // namespace turnpike::net
