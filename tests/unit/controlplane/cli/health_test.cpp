// What `turnpike health` makes of the admin API's answers.
#include "controlplane/cli/health.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

PartHealth assess(const char* state,
                  const std::vector<std::string>& replicas,
                  const char* reason = "") {
    json rows{{"data", json::array()}};
    for (const std::string& replica : replicas) rows["data"].push_back({{"state", replica}});
    return assess_endpoint({{"name", "pool"}, {"state", state}, {"reason", reason}}, rows);
}

TEST(AssessEndpoint, IsReadyOnceItServesOrIsNotWanted) {
    for (const char* state : {"STARTED", "STOPPING", "STOPPED"})
        EXPECT_TRUE(assess(state, {}).is_ready) << state;
    for (const char* state : {"PENDING", "STARTING", "ERROR", "", "SOMETHING"})
        EXPECT_FALSE(assess(state, {}).is_ready) << state;
    EXPECT_EQ(assess("STARTED", {}).name, "pool");
}

TEST(AssessEndpoint, TellsReplicasAndTheReason) {
    EXPECT_EQ(assess("STARTED", {"READY", "LOADING", "STOPPED"}).detail, "1 of 2 replicas READY");
    EXPECT_EQ(assess("ERROR", {"FAILED"}, "no memory").detail, "0 of 1 replicas READY; no memory");
    EXPECT_EQ(assess("PENDING", {}, "no slot").detail, "no slot");
    EXPECT_EQ(assess("STOPPED", {"STOPPED"}).detail, "");
}

TEST(AssessEndpoint, ToleratesAnswersThatHoldLess) {
    EXPECT_FALSE(assess_endpoint(json::object(), json::object()).is_ready);
}

TEST(HealthToJson, IsReadyWhenEveryPartIs) {
    EXPECT_EQ(to_json(std::vector<PartHealth>{{"a", "ready", "", true}, {"b", "x", "y", false}}),
              json::parse(R"({"ready":false,"parts":[
                  {"name":"a","state":"ready","detail":"","ready":true},
                  {"name":"b","state":"x","detail":"y","ready":false}]})"));
    EXPECT_TRUE(to_json(std::vector<PartHealth>{{"a", "ready", "", true}})["ready"]);
}

}  // namespace
}  // namespace turnpike::controlplane::cli
