// Heads that must be read in one way only.
#include "gateway/edge/request_head.h"

#include <gtest/gtest.h>

#include <string>

#include "config/base/limits.h"

namespace turnpike::gateway {
namespace {

Result<RequestHead> parse(const std::string& lines) {
    static std::string text;  // outlives the views
    text = lines + "\r\n";
    return parse_request_head(text);
}

TEST(RequestHead, ReadsWhatTheGatewayNeeds) {
    const auto head = parse(
        "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: h\r\nAUTHORIZATION:  Bearer k \r\n"
        "Content-Type: application/json\r\nContent-Length: 12\r\nUser-Agent: Together/1\r\n"
        "Expect: 100-Continue\r\nConnection: foo, Close\r\n");
    ASSERT_TRUE(head.has_value()) << head.error().message;
    EXPECT_EQ(head->method, "POST");
    EXPECT_EQ(head->path, "/v1/chat/completions");
    EXPECT_EQ(head->target, "/v1/chat/completions?x=1");
    EXPECT_EQ(head->authorization, "Bearer k");
    EXPECT_EQ(head->content_type, "application/json");
    EXPECT_EQ(head->content_length, 12U);
    EXPECT_EQ(head->user_agent, "Together/1");
    EXPECT_TRUE(head->expects_continue);
    EXPECT_FALSE(head->keeps_alive);
}

TEST(RequestHead, Http10NeverKeepsTheConnection) {
    const auto head = parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n");
    ASSERT_TRUE(head.has_value());
    EXPECT_TRUE(head->is_http10);
    EXPECT_FALSE(head->keeps_alive);
}

TEST(RequestHead, RefusesAmbiguity) {
    const std::string start = "POST / HTTP/1.1\r\nhost: h\r\n";
    for (const std::string& lines :
         {std::string("GET / HTTP/1.1\r\n"),
          std::string("GET /\r\nhost: h\r\n"),
          std::string("GET  HTTP/1.1\r\nhost: h\r\n"),
          std::string("GET / HTTP/2.0\r\nhost: h\r\n"),
          std::string("G(T / HTTP/1.1\r\nhost: h\r\n"),
          std::string("GET /a b HTTP/1.1\r\nhost: h\r\n"),
          std::string("GET /\x80 HTTP/1.1\r\nhost: h\r\n"),
          start + "host: i\r\n",
          start + "content-length: 1\r\ncontent-length: 1\r\n",
          start + "content-length: -1\r\n",
          start + "content-length: 1, 1\r\n",
          start + "content-length: \r\n",
          start + "content-length: 99999999999999999999\r\n",
          start + "content-length: 1\r\ntransfer-encoding: chunked\r\n",
          start + "transfer-encoding: gzip, chunked\r\n",
          start + "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
          start + "content-length : 1\r\n",
          start + " folded: x\r\n",
          start + "a: b\r\n c\r\n",
          start + "no colon\r\n",
          start + ": x\r\n",
          start + "a: b\nc: d\r\n",
          start + "a: \rb\r\n",
          start + std::string("a: \0b\r\n", 7),
          start + "authorization: a\r\nauthorization: b\r\n",
          std::string("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n")}) {
        const auto head = parse(lines);
        ASSERT_FALSE(head.has_value()) << lines;
        EXPECT_EQ(head.error().code, ErrorCode::kInvalidArgument) << lines;
    }
}

TEST(RequestHead, BoundsTheNumberOfFields) {
    std::string lines = "GET / HTTP/1.1\r\nhost: h\r\n";
    for (std::size_t i = 1; i < limits::kMaxHeaderFields; ++i) lines += "a: b\r\n";
    EXPECT_TRUE(parse(lines).has_value());
    EXPECT_EQ(parse(lines + "a: b\r\n").error().code, ErrorCode::kHeaderTooLarge);
}

}  // namespace
}  // namespace turnpike::gateway
