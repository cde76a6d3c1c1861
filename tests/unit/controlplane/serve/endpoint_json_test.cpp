// Bodies of endpoint requests: what is refused, under which name, and what absence means.
#include "controlplane/serve/endpoint_json.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

constexpr const char* kWhole = R"({"model":"a/b","hardware":"1x_cpu","display_name":"Mine",
    "autoscaling":{"min_replicas":1,"max_replicas":2},"state":"STOPPED","inactive_timeout":60,
    "disable_speculative_decoding":true,"idempotency_key":"k","availability_zone":"ignored"})";

TEST(EndpointJson, ReadsACreateBody) {
    const auto body = parse_create_endpoint(kWhole);
    ASSERT_TRUE(body) << body.error().message;
    EXPECT_EQ(body->model, "a/b");
    EXPECT_EQ(body->hardware, "1x_cpu");
    EXPECT_EQ(body->display_name, "Mine");
    EXPECT_EQ(body->autoscaling.max_replicas, 2);
    EXPECT_EQ(body->state, DesiredState::kStopped);
    EXPECT_EQ(body->inactive_timeout_minutes, 60);
    EXPECT_EQ(body->idempotency_key, "k");
    EXPECT_TRUE(body->disable_speculative_decoding);
}

TEST(EndpointJson, NamesTheFieldAtFault) {
    const auto param_of = [](const std::string& rest) {
        const auto body = parse_create_endpoint(
            R"({"model":"m","hardware":"h","autoscaling":{"min_replicas":1,"max_replicas":1})" +
            rest + "}");
        return body ? std::string("accepted") : body.error().param;
    };
    EXPECT_EQ(param_of(""), "accepted");
    EXPECT_EQ(param_of(R"(,"model":7)"), "model");
    EXPECT_EQ(param_of(R"(,"hardware":null)"), "hardware");
    EXPECT_EQ(param_of(R"(,"autoscaling":[])"), "autoscaling");
    EXPECT_EQ(param_of(R"(,"autoscaling":{"min_replicas":1})"), "autoscaling.max_replicas");
    EXPECT_EQ(param_of(R"(,"autoscaling":{"min_replicas":-1,"max_replicas":1})"),
              "autoscaling.min_replicas");
    EXPECT_EQ(param_of(R"(,"autoscaling":{"min_replicas":0,"max_replicas":0})"),
              "autoscaling.max_replicas");
    EXPECT_EQ(param_of(R"(,"autoscaling":{"min_replicas":1,"max_replicas":65})"),
              "autoscaling.max_replicas");
    EXPECT_EQ(param_of(R"(,"state":"RUNNING")"), "state");
    EXPECT_EQ(param_of(R"(,"inactive_timeout":1.5)"), "inactive_timeout");
    EXPECT_EQ(param_of(R"(,"disable_speculative_decoding":1)"), "disable_speculative_decoding");
    EXPECT_EQ(param_of(R"(,"display_name":")" + std::string(513, 'x') + "\""), "display_name");
    EXPECT_FALSE(parse_create_endpoint("[1]"));
    EXPECT_FALSE(parse_create_endpoint("{"));
}

TEST(EndpointJson, APatchSaysOnlyWhatItSays) {
    const auto nothing = parse_patch_endpoint("{}");
    ASSERT_TRUE(nothing);
    EXPECT_FALSE(nothing->state || nothing->autoscaling || nothing->display_name ||
                 nothing->inactive_timeout_minutes || nothing->disable_speculative_decoding);
    const auto without = parse_patch_endpoint(R"({"disable_speculative_decoding":false})");
    ASSERT_TRUE(without);
    EXPECT_EQ(without->disable_speculative_decoding, false);
    const auto never = parse_patch_endpoint(R"({"inactive_timeout":null,"state":"STARTED"})");
    ASSERT_TRUE(never);
    EXPECT_EQ(never->inactive_timeout_minutes, 0);
    EXPECT_EQ(never->state, DesiredState::kStarted);
}

TEST(EndpointJson, WritesTogethersShape) {
    Endpoint endpoint;
    endpoint.id = EndpointId("endpoint-1");
    endpoint.name = "demo/a-1";
    endpoint.created_at = from_unix_us(0);
    EXPECT_NE(write_endpoint(endpoint, "demo").find(R"("disable_speculative_decoding":false)"),
              std::string::npos);
    EXPECT_EQ(write_listed_endpoint(endpoint, "demo"),
              R"({"object":"endpoint","id":"endpoint-1","name":"demo/a-1","model":"",)"
              R"("type":"dedicated","owner":"demo","state":"PENDING",)"
              R"("created_at":"1970-01-01T00:00:00.000Z"})");
    Hardware hardware;
    hardware.id = "1x_cpu";
    EXPECT_EQ(write_hardware(hardware, false, from_unix_us(0)).find("availability"),
              std::string::npos);
    EXPECT_NE(write_hardware(hardware, true, from_unix_us(0)).find("insufficient"),
              std::string::npos);
    EXPECT_NE(write_replica(Replica(), 0).find(R"("pid":null)"), std::string::npos);
}

}  // namespace
}  // namespace turnpike::controlplane
