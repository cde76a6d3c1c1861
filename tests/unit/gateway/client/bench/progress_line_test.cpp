// The line at the start, in between and at the end.
#include "gateway/client/bench/progress_line.h"

#include <gtest/gtest.h>

namespace turnpike::gateway::client::bench {
namespace {

TEST(ProgressLine, TellsHowFarItIs) {
    EXPECT_EQ(progress_line({0.0, 10, 0, 4, 0, 0}),
              "[                              ] 0/10, 4 running, 0.0 s");
    EXPECT_EQ(progress_line({2.0, 10, 5, 4, 1, 0}),
              "[===============               ] 5/10, 4 running, 1 failed, 2.0 s, 2.0 s left");
    EXPECT_EQ(progress_line({4.0, 10, 10, 0, 0, 0}),
              "[==============================] 10/10, 0 running, 4.0 s");
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
