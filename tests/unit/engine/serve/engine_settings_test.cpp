// The settings of `turnpike-engine serve`: defaults, bounds, and how they depend on each other.
#include "engine/serve/engine_settings.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/temp_dir.h"

namespace turnpike::engine {
namespace {

Result<EngineSettings> load_with(const nlohmann::json& more) {
    const test::TempDir dir;
    nlohmann::json file{{"model_dir", "m"},
                        {"card", "c"},
                        {"listen", "unix:/run/s"},
                        {"lock_file", "l"},
                        {"meter_file", "t"}};
    file.update(more);
    std::ofstream(dir.file("engine.json")) << file.dump();
    return load_engine_settings(dir.file("engine.json"));
}

TEST(EngineSettings, DefaultsServeWithoutSpeculation) {
    const auto settings = load_with(nlohmann::json::object());
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_EQ(settings->speculative_tokens, 0);
    EXPECT_EQ(settings->max_step_tokens, 512);
    EXPECT_TRUE(settings->has_prefix_cache);
}

TEST(EngineSettings, WhatIsPrintedIsWhatIsRead) {
    const auto settings = load_with({{"speculative_tokens", 1},
                                     {"max_speculating", 3},
                                     {"max_step_tokens", 99},
                                     {"prefix_cache", false},
                                     {"watchdog_seconds", 0},
                                     {"keep_alive_seconds", 7}});
    ASSERT_TRUE(settings) << settings.error().message;
    const auto printed = nlohmann::json::parse(to_json(*settings));
    const auto again = load_with(printed);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(nlohmann::json::parse(to_json(*again)), printed);
    EXPECT_EQ(printed["max_speculating"], 3);
    EXPECT_EQ(printed["prefix_cache"], false);
    EXPECT_EQ(again->keep_alive_seconds, 7);
}

nlohmann::json tls_files() {
    return {{"certificate", "c.crt"}, {"key", "c.key"}, {"client_ca", "ca.crt"}};
}

TEST(EngineSettings, ATlsAddressNeedsItsFilesAndAnswersToAReplica) {
    const auto settings = load_with({{"listen", "tls:10.0.0.1:8000"},
                                     {"tls", tls_files()},
                                     {"address_file", "a"},
                                     {"replica", "rep-1"}});
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_TRUE(settings->listen.is_tls);
    EXPECT_EQ(settings->tls->certificate, "c.crt");
    EXPECT_EQ(settings->tls->key, "c.key");
    EXPECT_EQ(settings->tls->ca, "ca.crt");
    const auto printed = nlohmann::json::parse(to_json(*settings));
    EXPECT_EQ(printed["tls"], tls_files());
    EXPECT_EQ(printed["replica"], "rep-1");
    const auto again = load_with(printed);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(nlohmann::json::parse(to_json(*again)), printed);
}

TEST(EngineSettings, TlsAndItsAddressComeTogether) {
    const auto param_of = [](const nlohmann::json& more) {
        const auto settings = load_with(more);
        return settings ? std::string("accepted") : settings.error().param;
    };
    const std::string address = "tls:10.0.0.1:8000";
    EXPECT_EQ(param_of({{"listen", address}}), "tls");
    EXPECT_EQ(param_of({{"tls", tls_files()}}), "tls");
    EXPECT_EQ(param_of({{"listen", "tcp:10.0.0.1:8000"}, {"tls", tls_files()}}), "tls");
    for (const char* key : {"certificate", "key", "client_ca"}) {
        nlohmann::json files = tls_files();
        files.erase(key);
        EXPECT_EQ(param_of({{"listen", address}, {"tls", files}}), std::string("tls.") + key);
        files["extra"] = "x";
        EXPECT_NE(param_of({{"listen", address}, {"tls", files}}), "accepted");
    }
    nlohmann::json open_to_all = tls_files();
    open_to_all["client_ca"] = "";
    EXPECT_EQ(param_of({{"listen", address}, {"tls", open_to_all}}), "tls.client_ca");
    // A port that nobody would know.
    const nlohmann::json any_port{{"listen", "tls:10.0.0.1:0"}, {"tls", tls_files()}};
    EXPECT_EQ(param_of(any_port), "address_file");
    nlohmann::json announced = any_port;
    announced["address_file"] = "a";
    EXPECT_EQ(param_of(announced), "accepted");
}

TEST(EngineSettings, NamesWhatIsOutOfRange) {
    const std::vector<std::pair<const char*, int>> cases{{"num_threads", -1},
                                                         {"kv_tokens", 63},
                                                         {"max_running", 0},
                                                         {"max_running", 257},
                                                         {"max_step_tokens", 0},
                                                         {"speculative_tokens", 9},
                                                         {"speculative_tokens", -1},
                                                         {"max_speculating", 0},
                                                         {"watchdog_seconds", -1},
                                                         {"keep_alive_seconds", -1},
                                                         {"keep_alive_seconds", 86'401}};
    for (const auto& [name, value] : cases) {
        const auto settings = load_with({{name, value}});
        ASSERT_FALSE(settings) << name << " " << value;
        EXPECT_EQ(settings.error().param, name);
        EXPECT_NE(settings.error().message.find(std::to_string(value)), std::string::npos);
    }
}

TEST(EngineSettings, AStepHoldsARowOfEverySequenceAndOfItsDraft) {
    EXPECT_TRUE(load_with({{"max_running", 100}, {"max_step_tokens", 100}}));
    const auto few = load_with({{"max_running", 100}, {"max_step_tokens", 99}});
    ASSERT_FALSE(few);
    EXPECT_EQ(few.error().param, "max_step_tokens");
    const nlohmann::json drafting{
        {"max_running", 100}, {"max_step_tokens", 199}, {"speculative_tokens", 1}};
    const auto drafts = load_with(drafting);
    ASSERT_FALSE(drafts);
    EXPECT_NE(drafts.error().message.find("at least 200"), std::string::npos);
    EXPECT_NE(drafts.error().message.find("draft"), std::string::npos);
}

}  // namespace
}  // namespace turnpike::engine
