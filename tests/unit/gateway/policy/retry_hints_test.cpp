// What clients are told about trying again.
#include "gateway/policy/retry_hints.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

TEST(RetryHints, OnlyHelpfulRetriesAreInvited) {
    for (const int status : {400, 401, 402, 403, 404, 405, 413, 415, 431}) {
        EXPECT_EQ(retry_hints(status), "x-should-retry: false\r\n") << status;
    }
    for (const int status : {200, 408, 409, 429, 500, 502, 504}) {
        EXPECT_EQ(retry_hints(status), "") << status;
    }
    EXPECT_EQ(retry_hints(503), "retry-after: 1\r\n");
}

}  // namespace
}  // namespace turnpike::gateway
