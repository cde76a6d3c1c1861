// Meter lines read back; anything else is no meter line.
#include "engine/api/meter_line.h"

#include <gtest/gtest.h>

namespace turnpike::engine {
namespace {

TEST(MeterLine, RoundTrips) {
    const TokenUsage usage{23, 7, 1000, 900};
    EXPECT_EQ(format_meter_line(usage), ": meter 23 7 1000 900\n\n");
    EXPECT_EQ(parse_meter_line(format_meter_line(usage)), usage);
}

TEST(MeterLine, RefusesEverythingElse) {
    for (const char* text :
         {"", ": meter\n\n", ": meter 1 0 1\n\n", ": meter 1 0 1 0 5\n\n", ": meter 1 2 1 0\n\n",
          ": meter 1 0 1 2\n\n", ": meter -1 0 0 0\n\n", ": meter 1 0 1 0", ": keep-alive\n\n",
          "data: : meter 1 0 1 0\n\n", ": meter 1  0 1 0\n\n"}) {
        EXPECT_FALSE(parse_meter_line(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace turnpike::engine
