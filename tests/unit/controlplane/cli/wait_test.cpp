// What `--wait` tells while it waits, and when a rolling update is over.
#include "controlplane/cli/wait.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane::cli {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

TEST(ProgressText, CountsReplicasByState) {
    const json endpoint{{"state", "STARTING"}, {"reason", ""}};
    const json replicas = json::parse(R"([{"state":"READY"},{"state":"LOADING"},{"state":"READY"},
        {"state":"STOPPED"}])");
    EXPECT_EQ(progress_text(endpoint, replicas, 12s), "STARTING, 12 s: 1 LOADING, 2 READY");
    EXPECT_EQ(progress_text(endpoint, json::array(), 0s), "STARTING, 0 s");
}

TEST(ProgressText, TellsWhyNothingComes) {
    const json waiting{{"state", "PENDING"}, {"reason", "waits for a free slot on 1x_cpu"}};
    EXPECT_EQ(progress_text(waiting, json::array(), 3s),
              "PENDING, 3 s; waits for a free slot on 1x_cpu");
    const json failed = json::parse(R"([{"state":"FAILED","reason":"exit status 1"}])");
    EXPECT_EQ(progress_text({{"state", "STARTING"}}, failed, 3s),
              "STARTING, 3 s: 1 FAILED (exit status 1)");
}

TEST(IsRolledOut, NeedsEveryReplicaToBeNewAndEnoughToBeReady) {
    const json endpoint = json::parse(R"({"rollout":2,"autoscaling":{"min_replicas":2}})");
    const auto replicas = [](const char* text) { return json::parse(text); };
    EXPECT_FALSE(is_rolled_out(endpoint, json::array()));
    EXPECT_FALSE(is_rolled_out(endpoint, replicas(R"([{"generation":2,"state":"READY"},
        {"generation":1,"state":"READY"},{"generation":2,"state":"READY"}])")));
    EXPECT_FALSE(is_rolled_out(endpoint, replicas(R"([{"generation":2,"state":"READY"},
        {"generation":2,"state":"LOADING"}])")));
    EXPECT_TRUE(is_rolled_out(endpoint, replicas(R"([{"generation":2,"state":"READY"},
        {"generation":2,"state":"READY"}])")));
}

}  // namespace
}  // namespace turnpike::controlplane::cli
