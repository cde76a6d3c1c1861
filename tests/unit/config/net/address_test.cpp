// Addresses read and write back; what is none says what was expected.
#include "config/net/address.h"

#include <gtest/gtest.h>

#include "config/net/http_client.h"

namespace turnpike::net {
namespace {

TEST(Address, RoundTrips) {
    for (const char* text : {"unix:/run/x.sock", "tcp:127.0.0.1:8000", "tcp:[::1]:1",
                             "tcp:localhost:65535", "tls:10.0.0.1:0", "tls:[::1]:1"}) {
        EXPECT_EQ(to_string(parse_address(text).value()), text);
    }
}

TEST(Address, OnlyItsOwnSchemeIsTls) {
    EXPECT_TRUE(parse_address("tls:10.0.0.1:1")->is_tls);
    EXPECT_FALSE(parse_address("tcp:10.0.0.1:1")->is_tls);
    EXPECT_FALSE(parse_address("unix:/tls:10.0.0.1:1")->is_tls);
}

TEST(Address, RefusesNonsense) {
    for (const char* text : {"", "unix:", "tcp:", "tcp:host", "tcp::80", "tcp:h:65536", "tcp:h:8x",
                             "http://x", "tcp:[h]:80", "tls:", "tls:h", "tls:h:65536", "TLS:h:1",
                             "tcp:[]:80", "tcp:[[::1]]:80", "tcp:[::1:80"}) {
        EXPECT_FALSE(parse_address(text).has_value()) << text;
    }
    const auto long_path = parse_address("unix:/" + std::string(100, 'a'));
    EXPECT_NE(long_path.error().message.find("found 101"), std::string::npos);
    for (const std::string scheme : {"unix:", "udp:"}) {
        EXPECT_LT(parse_address(scheme + std::string(5000, 'a')).error().message.size(), 300U);
    }
}

TEST(Url, SplitsIntoAddressAndPath) {
    const ParsedUrl url = parse_url("https://localhost:8443/v1/").value();
    EXPECT_TRUE(url.options.use_tls);
    EXPECT_EQ(to_string(url.options.address), "tcp:localhost:8443");
    EXPECT_EQ(url.path, "/v1");
    EXPECT_EQ(parse_url("http://example.org").value().options.address.port, 80);
    EXPECT_EQ(to_string(parse_url("https://[::1]:9/x").value().options.address), "tcp:[::1]:9");
    EXPECT_FALSE(parse_url("localhost:8443").has_value());
    const ParsedUrl socket = parse_url("unix:/run/x.sock:/v1/").value();
    EXPECT_EQ(to_string(socket.options.address), "unix:/run/x.sock");
    EXPECT_EQ(socket.path, "/v1");
    EXPECT_EQ(to_string(parse_url("unix:/run/x.sock").value().options.address), "unix:/run/x.sock");
    EXPECT_EQ(parse_url("unix:/run/x.sock").value().path, "");
    EXPECT_FALSE(parse_url("unix:"));
    EXPECT_EQ(parse_url("unix:/a:/b:/c").value().path, "/b:/c");
    EXPECT_LT(parse_url(std::string(5000, 'u')).error().message.size(), 300U);
}

}  // namespace
}  // namespace turnpike::net
