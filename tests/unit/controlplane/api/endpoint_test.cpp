// Names of states go both ways, and a name that is none is refused.
#include "controlplane/api/endpoint.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

TEST(EndpointStates, GoBothWays) {
    for (const char* name : {"PENDING", "STARTING", "STARTED", "STOPPING", "STOPPED", "ERROR"}) {
        EXPECT_EQ(to_string(parse_endpoint_state(name).value()), name);
    }
    for (const char* name :
         {"PENDING", "STARTING", "LOADING", "READY", "DRAINING", "STOPPED", "FAILED"}) {
        EXPECT_EQ(to_string(parse_replica_state(name).value()), name);
    }
    for (const char* name : {"STARTED", "STOPPED"}) {
        EXPECT_EQ(to_string(parse_desired_state(name).value()), name);
    }
    for (const char* name : {"serverless", "dedicated"}) {
        EXPECT_EQ(to_string(parse_endpoint_type(name).value()), name);
    }
}

TEST(EndpointStates, RefuseAnythingElseAndSayWhatIsExpected) {
    EXPECT_FALSE(parse_endpoint_state("started").has_value());
    EXPECT_FALSE(parse_replica_state("").has_value());
    EXPECT_FALSE(parse_endpoint_type("spot").has_value());
    EXPECT_EQ(parse_desired_state("PAUSED").error().message,
              "expected one of STARTED, STOPPED; found 'PAUSED'");
}

}  // namespace
}  // namespace turnpike::controlplane
