// Settings of the control plane: names resolve, nonsense is refused with its key.
#include "controlplane/serve/settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace turnpike::controlplane {
namespace {

nlohmann::json good() {
    return nlohmann::json::parse(R"({"data_dir":"data","listen_internal":"unix:/tmp/i.sock",
        "listen_admin":"unix:/tmp/a.sock","pepper_file":"p","run_dir":"/tmp/r",
        "engine_binary":"/bin/true","cards_dir":")" TURNPIKE_SOURCE_DIR R"(/config/files/models",
        "models":[{"card":"tiny-random.json","model_dir":"m","names":[
            {"name":"deepseek-ai/DeepSeek-R1","card":"deepseek-r1-0528.json"}]}],
        "serverless":[{"model":"deepseek-ai/DeepSeek-R1","hardware":"1x_cpu"}],
        "hardware":[{"id":"1x_cpu","slots":2}]})");
}

Result<ControlplaneSettings> load(const nlohmann::json& json) {
    const std::string path =
        ::testing::TempDir() + "settings-" + std::to_string(::getpid()) + ".json";
    std::ofstream(path) << json.dump();
    auto settings = load_settings(path);
    std::remove(path.c_str());
    return settings;
}

TEST(ControlplaneSettings, FillsInDefaultsAndResolvesNames) {
    const auto settings = load(good());
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_EQ(settings->driver, DriverKind::kProcess);
    EXPECT_EQ(settings->platform_organisation, "turnpike");
    EXPECT_TRUE(settings->data_dir.starts_with('/'));
    ASSERT_NE(settings->find_model("deepseek-ai/DeepSeek-R1"), nullptr);
    EXPECT_EQ(settings->find_model("deepseek-ai/DeepSeek-R1"),
              settings->find_model("turnpike/tiny-random"));
    EXPECT_EQ(settings->find_model("other"), nullptr);
    EXPECT_EQ(settings->models[0].names[0].card.output_nano_usd, NanoUsd(7000));
    EXPECT_EQ(settings->serverless[0].autoscaling.max_replicas, 1);
    const auto written = nlohmann::json::parse(write_settings(*settings));
    EXPECT_EQ(written["hardware"][0]["slots"], 2);
    EXPECT_EQ(written["retention"]["usage_months"], 0);
}

TEST(ControlplaneSettings, OperatorsListenOnThisHostWithKeys) {
    EXPECT_FALSE(load(good())->listen_operators.has_value());
    nlohmann::json json = good();
    json["listen_operators"] = "tcp:127.0.0.1:9443";
    EXPECT_FALSE(load(json).has_value());  // without keys
    json["operator_keys_file"] = "operators";
    const auto settings = load(json);
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_TRUE(settings->listen_operators.has_value());
    EXPECT_TRUE(settings->operator_keys_file.starts_with('/'));
    json["listen_operators"] = "tcp:0.0.0.0:9443";
    EXPECT_FALSE(load(json).has_value());
}

TEST(ControlplaneSettings, MetricsHaveAListenerOfTheirOwn) {
    EXPECT_FALSE(load(good())->listen_metrics.has_value());
    nlohmann::json json = good();
    json["listen_metrics"] = "tcp:127.0.0.1:9465";
    const auto settings = load(json);
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_EQ(net::to_string(settings->listen_metrics.value()), "tcp:127.0.0.1:9465");
    const auto written = nlohmann::json::parse(write_settings(*settings));
    EXPECT_EQ(written["listen_metrics"], "tcp:127.0.0.1:9465");
    json["listen_metrics"] = "9465";
    EXPECT_EQ(load(json).error().param, "listen_metrics");
}

TEST(ControlplaneSettings, WithoutNamesAModelHasThoseOfItsCard) {
    nlohmann::json json = good();
    json["models"][0].erase("names");
    json["models"][0]["card"] = "deepseek-r1-0528.json";
    const auto settings = load(json);
    ASSERT_TRUE(settings) << settings.error().message;
    std::vector<std::string> names;
    for (const NameSettings& name : settings->models[0].names) names.push_back(name.name);
    EXPECT_EQ(names, (std::vector<std::string>{"deepseek-ai/DeepSeek-R1-0528",
                                               "deepseek-ai/DeepSeek-R1"}));
    EXPECT_EQ(settings->find_model("deepseek-ai/DeepSeek-R1")->card.id, names[0]);
}

TEST(ControlplaneSettings, EngineTlsIsWholeOrAbsent) {
    EXPECT_FALSE(load(good())->engine_tls.has_value());
    nlohmann::json json = good();
    json["engine_tls"] = {{"certificate", "/c.crt"}, {"key", "/c.key"}, {"ca", "ca.crt"}};
    const auto settings = load(json);
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_EQ(settings->engine_tls->certificate, "/c.crt");
    EXPECT_EQ(settings->engine_tls->key, "/c.key");
    EXPECT_TRUE(settings->engine_tls->ca.starts_with('/'));
    EXPECT_EQ(nlohmann::json::parse(write_settings(*settings))["engine_tls"]["key"], "/c.key");
    for (const char* key : {"certificate", "key", "ca"}) {
        nlohmann::json without = json;
        without["engine_tls"].erase(key);
        EXPECT_EQ(load(without).error().param, std::string("engine_tls.") + key);
    }
    json["engine_tls"]["ca"] = "";
    EXPECT_EQ(load(json).error().param, "engine_tls.ca");
}

TEST(ControlplaneSettings, SlurmNeedsItsHardwareAndTls) {
    nlohmann::json json = good();
    json["driver"] = "slurm";
    EXPECT_EQ(load(json).error().param, "slurm.tls");
    json["slurm"]["tls"] = {{"certificate", "/e.crt"}, {"key", "/e.key"}, {"client_ca", "/ca.crt"}};
    EXPECT_EQ(load(json).error().param, "engine_tls");
    json["engine_tls"] = {{"certificate", "/c.crt"}, {"key", "/c.key"}, {"ca", "/ca.crt"}};
    EXPECT_EQ(load(json).error().param, "hardware.slurm");
    json["hardware"][0]["slurm"] = {{"gres", "gpu:h200:8"}, {"arguments", {"--partition=gpu"}}};
    const auto settings = load(json);
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_EQ(settings->slurm.job_prefix, "turnpike");
    EXPECT_EQ(settings->hardware[0].slurm->num_nodes, 1);
    const auto written = nlohmann::json::parse(write_settings(*settings));
    EXPECT_EQ(written["driver"], "slurm");
    EXPECT_EQ(written["slurm"]["tls"]["client_ca"], "/ca.crt");
    EXPECT_EQ(written["hardware"][0]["slurm"]["arguments"][0], "--partition=gpu");
    json["hardware"][0]["slurm"]["nodes"] = 65;
    EXPECT_EQ(load(json).error().param, "hardware.slurm.nodes");
    json["hardware"][0]["slurm"]["nodes"] = 2;
    json["slurm"]["job_prefix"] = "a:b";
    EXPECT_EQ(load(json).error().param, "slurm.job_prefix");
}

TEST(ControlplaneSettings, RefusesNonsenseByName) {
    const auto param_of = [](const char* pointer, const nlohmann::json& value) {
        nlohmann::json json = good();
        json[nlohmann::json::json_pointer(pointer)] = value;
        const auto settings = load(json);
        return settings ? std::string("accepted") : settings.error().param;
    };
    EXPECT_EQ(param_of("/driver", "kubernetes"), "driver");
    EXPECT_EQ(param_of("/driver", "systemd"), "accepted");
    EXPECT_EQ(param_of("/hardware/0/slurm", nlohmann::json::object()), "hardware.slurm");
    EXPECT_EQ(param_of("/listen_admin", "http://x"), "listen_admin");
    EXPECT_EQ(param_of("/listen_internal", "tls:127.0.0.1:1"), "listen_internal");
    EXPECT_EQ(param_of("/serverless/0/model", "none"), "serverless.model");
    EXPECT_EQ(param_of("/serverless/0/hardware", "none"), "serverless.hardware");
    EXPECT_EQ(param_of("/serverless/0/min_replicas", 0), "serverless.min_replicas");
    EXPECT_EQ(param_of("/hardware/0/slots", -1), "hardware");
    EXPECT_EQ(param_of("/quota", {{"endpoints", -1}}), "quota");
    EXPECT_EQ(param_of("/quota", {{"endpoints", 3}, {"replicas", 9}}), "accepted");
    EXPECT_EQ(param_of("/hardware/1", {{"id", "1x_cpu"}, {"slots", 1}}), "hardware");
    EXPECT_EQ(param_of("/serverless/1", good()["serverless"][0]), "serverless");
    EXPECT_EQ(param_of("/models/0/speculative_tokens", 9), "models");
    EXPECT_EQ(param_of("/models/0/speculative_tokens", -1), "models");
    EXPECT_EQ(param_of("/models/0/speculative_tokens", 8), "accepted");
    EXPECT_EQ(param_of("/retention", {{"usage_months", -1}}), "retention");
    EXPECT_EQ(param_of("/retention", {{"audit_days", 36'501}}), "retention");
    EXPECT_EQ(param_of("/retention", {{"finished_operations_days", 90}}), "accepted");
    EXPECT_EQ(param_of("/retention", {{"days", 1}}), "retention.days");
    EXPECT_EQ(param_of("/surprise", 1), "surprise");
    nlohmann::json json = good();
    json["models"][0]["card"] = "absent.json";
    EXPECT_FALSE(load(json));
    json = good();
    json["models"][0]["names"][0]["card"] = "deepseek-r1-0528-qwen3-8b.json";
    EXPECT_NE(load(json).error().message.find("has no prices"), std::string::npos);
}

}  // namespace
}  // namespace turnpike::controlplane
