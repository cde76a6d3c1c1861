// The gateway's own heads and dates.
#include "gateway/edge/response_text.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

TEST(ResponseText, Heads) {
    ResponseHead head;
    head.status = 503;
    head.content_length = 2;
    head.request_id = "ID";
    head.date = "now";
    head.keeps_alive = false;
    std::string text;
    append_head(text, head);
    EXPECT_EQ(text,
              "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
              "content-length: 2\r\nretry-after: 1\r\nx-request-id: ID\r\ndate: now\r\n"
              "connection: close\r\n\r\n");
    text.clear();
    ResponseHead stream;
    stream.is_http10 = true;
    append_head(text, stream);
    EXPECT_EQ(text.find("chunked"), std::string::npos);
}

TEST(ResponseText, Dates) {
    EXPECT_EQ(format_http_date(from_unix_us(784'111'777'000'000)), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(format_http_date(from_unix_us(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
}

}  // namespace
}  // namespace turnpike::gateway
