// Settings: defaults, bounds, unknown keys, and that what is printed can be read again.
#include "gateway/edge/settings.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace turnpike::gateway {
namespace {

constexpr char kRequired[] =
    R"("tls_certificate":"c","tls_key":"k","controlplane":"unix:/x","pepper_file":"p",)"
    R"("outbox_dir":"o","snapshot_file":"s")";

Result<Settings> load(const std::string& text) {
    const test::TempDir dir;
    std::ofstream(dir.file("g.json")) << text;
    return load_settings(dir.file("g.json"));
}

TEST(GatewaySettings, DefaultsAndRoundTrip) {
    const auto settings = load(std::string("{") + kRequired + "}");
    ASSERT_TRUE(settings.has_value()) << settings.error().message;
    EXPECT_EQ(settings->listen, std::vector<std::string>{"tcp:0.0.0.0:8443"});
    EXPECT_EQ(settings->drain_time, std::chrono::seconds(30));
    EXPECT_EQ(settings->durability, Durability::kProcess);
    const auto again = load(write_settings(*settings));
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(write_settings(*again), write_settings(*settings));
}

TEST(GatewaySettings, UpstreamTlsIsWholeOrAbsent) {
    EXPECT_FALSE(load(std::string("{") + kRequired + "}")->upstream_tls.has_value());
    const auto settings = load(std::string("{") + kRequired +
                               R"(,"upstream_tls":{"certificate":"c","key":"k","ca":"a"}})");
    ASSERT_TRUE(settings.has_value()) << settings.error().message;
    EXPECT_EQ(settings->upstream_tls->certificate, "c");
    EXPECT_EQ(settings->upstream_tls->key, "k");
    EXPECT_EQ(settings->upstream_tls->ca, "a");
    EXPECT_EQ(write_settings(*load(write_settings(*settings))), write_settings(*settings));
    for (const std::string files :
         {R"({"certificate":"c","key":"k"})", R"({"certificate":"c","ca":"a"})",
          R"({"key":"k","ca":"a"})", R"({"certificate":"c","key":"k","ca":""})",
          R"({"certificate":"","key":"k","ca":"a"})",
          R"({"certificate":"c","key":"k","ca":"a","more":"m"})", R"("c")", "{}"}) {
        EXPECT_FALSE(load(std::string("{") + kRequired + R"(,"upstream_tls":)" + files + "}"))
            << files;
    }
}

TEST(GatewaySettings, RefusesWhatItCannotServe) {
    for (const std::string extra :
         {R"("listen":["unix:/x"])", R"("listen":["8443"])", R"("listen":["tls:0.0.0.0:1"])",
          R"("metrics_listen":"tls:127.0.0.1:1")", R"("durability":"maybe")", R"("num_threads":-1)",
          R"("drain_seconds":-1)", R"("drain_seconds":99999)", R"("unknown":1)",
          R"("num_threads":"two")"}) {
        EXPECT_FALSE(load(std::string("{") + kRequired + "," + extra + "}").has_value()) << extra;
    }
    EXPECT_FALSE(load("{}").has_value());
    EXPECT_FALSE(load_settings("/nonexistent/g.json").has_value());
}

}  // namespace
}  // namespace turnpike::gateway
