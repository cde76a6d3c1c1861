// Replies whole and byte by byte, and where they end.
#include "config/net/http_response_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace turnpike::net {
namespace {

constexpr char kChunked[] =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nX-Id: 7\r\n\r\n"
    "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";

TEST(HttpResponseParser, DoesNotDependOnTheSplit) {
    const std::string bytes = kChunked;
    for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{7}, bytes.size()}) {
        std::string body;
        HttpResponseParser parser(
            [&](std::string_view piece) {
                body += piece;
                return true;
            },
            false);
        for (std::size_t at = 0; at < bytes.size(); at += step) {
            EXPECT_FALSE(parser.is_done());
            ASSERT_TRUE(parser.feed(std::string_view(bytes).substr(at, step)));
        }
        EXPECT_TRUE(parser.is_done());
        EXPECT_TRUE(parser.may_keep_connection());
        EXPECT_EQ(parser.response().headers.get("x-id"), "7");
        EXPECT_EQ(body, "hello world");
    }
}

TEST(HttpResponseParser, BytesBehindTheReplyMakeTheConnectionUseless) {
    HttpResponseParser parser(nullptr, false);
    ASSERT_TRUE(parser.feed("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP"));
    EXPECT_TRUE(parser.is_done());
    EXPECT_EQ(parser.response().body, "ok");
    EXPECT_FALSE(parser.may_keep_connection());
}

TEST(HttpResponseParser, ABodyThatNobodyWantsFurther) {
    int num_pieces = 0;
    HttpResponseParser parser(
        [&](std::string_view) {
            ++num_pieces;
            return false;
        },
        false);
    ASSERT_TRUE(parser.feed(kChunked));
    EXPECT_EQ(num_pieces, 1);
    EXPECT_TRUE(parser.was_stopped());
    EXPECT_FALSE(parser.may_keep_connection());
}

TEST(HttpResponseParser, RefusalsAreCollected) {
    HttpResponseParser parser(
        [](std::string_view) {
            ADD_FAILURE();
            return true;
        },
        false);
    ASSERT_TRUE(
        parser.feed("HTTP/1.1 429 Slow\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"));
    EXPECT_TRUE(parser.is_done());
    EXPECT_EQ(parser.response().status, 429);
    EXPECT_EQ(parser.response().body, "no");
    EXPECT_FALSE(parser.may_keep_connection());
}

TEST(HttpResponseParser, TheEndOfTheConnection) {
    HttpResponseParser none(nullptr, false);
    EXPECT_FALSE(none.finish());
    EXPECT_FALSE(none.has_bytes());
    HttpResponseParser half(nullptr, false);
    ASSERT_TRUE(half.feed("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"));
    EXPECT_TRUE(half.has_bytes());
    EXPECT_TRUE(half.has_head());
    EXPECT_FALSE(half.finish());
    // Without a length the end of the connection is the end of the body.
    HttpResponseParser open(nullptr, false);
    ASSERT_TRUE(open.feed("HTTP/1.1 200 OK\r\n\r\nall of it"));
    EXPECT_FALSE(open.is_done());
    EXPECT_TRUE(open.finish());
    EXPECT_EQ(open.response().body, "all of it");
}

TEST(HttpResponseParser, WhatIsNoHttp) {
    HttpResponseParser parser(nullptr, false);
    const Status status = parser.feed("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace turnpike::net
