// Header look-up without case, and query decoding.
#include "config/net/http_message.h"

#include <gtest/gtest.h>

namespace turnpike::net {
namespace {

TEST(HttpMessage, HeadersCompareWithoutCase) {
    const HttpHeaders headers{{"Content-Type", "text/plain"}};
    EXPECT_EQ(headers.get("content-type"), "text/plain");
    EXPECT_FALSE(headers.has("content-typ"));
}

TEST(HttpMessage, QueryIsDecoded) {
    const HttpRequest request{"GET", "/a/b?org=my%20org&x=1+2&flag&bad=%zz", {}, ""};
    EXPECT_EQ(request.path(), "/a/b");
    EXPECT_EQ(request.query("org"), "my org");
    EXPECT_EQ(request.query("x"), "1 2");
    EXPECT_EQ(request.query("flag"), "");
    EXPECT_EQ(request.query("bad"), "%zz");
    EXPECT_EQ(request.query("none"), "");
}

}  // namespace
}  // namespace turnpike::net
