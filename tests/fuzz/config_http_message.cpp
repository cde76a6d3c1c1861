// Request targets, addresses and URLs: a query value that was escaped comes back as it was; an
// address or URL that is accepted reads the same once written.
#include <string>

#include "config/net/address.h"
#include "config/net/http_client.h"
#include "config/net/http_message.h"
#include "tests/fuzz/target.h"

using turnpike::ErrorCode;
using turnpike::net::HttpRequest;

namespace {

std::string escaped(std::string_view text) {
    constexpr char kDigits[] = "0123456789aBcDeF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += kDigits[byte >> 4U];
        out += kDigits[byte & 15U];
    }
    return out;
}

void check_query(std::string_view text) {
    HttpRequest request;
    request.target = text;
    CHECK(text.starts_with(request.path()));
    CHECK(request.query("store").size() <= text.size());
    CHECK(request.query("").size() <= text.size());
    request.target = "/p?a=1&" + escaped("n" + std::string(text)) + "=" + escaped(text) + "&b";
    CHECK(request.query("n" + std::string(text)) == text);
    CHECK(request.query("b").empty());
}

void check_address(std::string_view text) {
    const auto address = turnpike::net::parse_address(text);
    if (!address) {
        turnpike::fuzz::check_error(address.error(), {ErrorCode::kInvalidArgument});
        return;
    }
    const std::string written = to_string(*address);
    const auto again = turnpike::net::parse_address(written);
    CHECK(again);
    CHECK(again->unix_path == address->unix_path && again->host == address->host);
    CHECK(again->port == address->port && again->is_tls == address->is_tls);
}

void check_url(std::string_view text) {
    const auto url = turnpike::net::parse_url(text);
    if (!url) {
        turnpike::fuzz::check_error(url.error(), {ErrorCode::kInvalidArgument});
        return;
    }
    CHECK(url->path.empty() || (url->path.front() == '/' && url->path.back() != '/'));
    const std::string address = to_string(url->options.address);
    std::string written = (url->options.use_tls ? "https://" : "http://") + address.substr(4);
    if (url->options.address.is_unix()) written = url->path.empty() ? address : address + ":";
    const auto again = turnpike::net::parse_url(written + url->path);
    CHECK(again && again->path == url->path);
    CHECK(to_string(again->options.address) == to_string(url->options.address));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = turnpike::fuzz::text_of(data, size);
    check_query(text);
    check_address(text);
    check_url(text);
    return 0;
}
