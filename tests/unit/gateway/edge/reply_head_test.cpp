// Heads of engines' replies.
#include "gateway/edge/reply_head.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

TEST(ReplyHead, MeteredReply) {
    const auto head = parse_reply_head(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
    ASSERT_TRUE(head.has_value());
    EXPECT_EQ(head->status, 200);
    EXPECT_TRUE(head->is_chunked && head->is_event_stream && head->keeps_alive);
}

TEST(ReplyHead, Refusal) {
    const auto head =
        parse_reply_head("HTTP/1.1 409\r\ncontent-length: 7\r\nconnection: close\r\n\r\n");
    ASSERT_TRUE(head.has_value());
    EXPECT_EQ(head->status, 409);
    EXPECT_EQ(head->content_length, 7U);
    EXPECT_FALSE(head->keeps_alive || head->is_event_stream);
}

TEST(ReplyHead, NoContentNeedsNoLength) {
    const auto head = parse_reply_head("HTTP/1.1 204 No Content\r\n\r\n");
    ASSERT_TRUE(head.has_value());
    EXPECT_EQ(head->content_length, 0U);
}

TEST(ReplyHead, RefusesWhatHasNoFraming) {
    for (const char* text :
         {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
          "HTTP/1.1 20 OK\r\ncontent-length: 1\r\n\r\n",
          "HTTP/1.1 2000\r\ncontent-length: 1\r\n\r\n", "HTTP/1.1 100\r\ncontent-length: 1\r\n\r\n",
          "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "",
          "\r\n\r\n"}) {
        EXPECT_FALSE(parse_reply_head(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace turnpike::gateway
