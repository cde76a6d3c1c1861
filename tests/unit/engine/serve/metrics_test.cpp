// Counters, histograms and their text: names that others read, buckets that add up.
#include "engine/serve/metrics.h"

#include <gtest/gtest.h>

#include "engine/serve/engine_metrics.h"

namespace turnpike::engine {
namespace {

constexpr std::array kBounds{0.5, 1.0, 2.5};

TEST(Histogram, AValueCountsForTheFirstBoundThatIsNotBelowIt) {
    Histogram histogram(kBounds);
    for (const double value : {0.1, 0.5, 0.6, 2.5, 2.6, 100.0}) histogram.observe(value);
    EXPECT_EQ(histogram.count(0), 2);
    EXPECT_EQ(histogram.count(1), 1);
    EXPECT_EQ(histogram.count(2), 1);
    EXPECT_EQ(histogram.count(3), 2);
    EXPECT_NEAR(histogram.sum(), 106.3, 1e-9);
}

TEST(MetricsText, IsTheExpositionFormat) {
    Histogram histogram(kBounds);
    histogram.observe(0.25);
    histogram.observe(7.0);
    MetricsText text(metric_label("model", "a\"b\\c\nd"));
    text.counter("x_total", "How many.", 3);
    text.gauge("y", "How full.", 0.125);
    text.histogram("z_seconds", "How long.", histogram);
    const std::string label = "model=\"a\\\"b\\\\c\\nd\"";
    EXPECT_EQ(text.text(), "# HELP x_total How many.\n# TYPE x_total counter\nx_total{" + label +
                               "} 3\n# HELP y How full.\n# TYPE y gauge\ny{" + label +
                               "} 0.125\n# HELP z_seconds How long.\n# TYPE z_seconds histogram\n"
                               "z_seconds_bucket{" +
                               label + ",le=\"0.5\"} 1\nz_seconds_bucket{" + label +
                               ",le=\"1\"} 1\nz_seconds_bucket{" + label +
                               ",le=\"2.5\"} 1\nz_seconds_bucket{" + label +
                               ",le=\"+Inf\"} 2\nz_seconds_sum{" + label +
                               "} 7.25\nz_seconds_count{" + label + "} 2\n");
}

TEST(EngineMetrics, HasTheNamesThatDashboardsRead) {
    EngineMetrics metrics;
    Load load;
    load.num_running = 3;
    load.num_waiting = 4;
    load.kv_blocks_total = 8;
    load.kv_blocks_used = 2;
    load.accepted_tokens = 11;
    metrics.ended[static_cast<std::size_t>(RequestEnd::kLength)].add(5);
    metrics.refuse(ErrorCode::kUnavailable);
    metrics.refuse(ErrorCode::kTooLarge);
    metrics.time_to_first_token_s.observe(0.03);
    const std::string text = write_metrics(metrics, load, EngineState::kReady, "m");
    for (const char* line :
         {"vllm:num_requests_running{model_name=\"m\",engine=\"0\"} 3\n",
          "vllm:num_requests_waiting{model_name=\"m\",engine=\"0\"} 4\n",
          "vllm:kv_cache_usage_perc{model_name=\"m\",engine=\"0\"} 0.25\n",
          "vllm:gpu_cache_usage_perc{model_name=\"m\",engine=\"0\"} 0.25\n",
          "vllm:request_success_total{model_name=\"m\",engine=\"0\",finished_reason=\"length\"} "
          "5\n",
          "vllm:request_success_total{model_name=\"m\",engine=\"0\",finished_reason=\"abort\"} 0\n",
          "vllm:spec_decode_num_accepted_tokens_total{model_name=\"m\",engine=\"0\"} 11\n",
          "vllm:time_to_first_token_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"0.02\"} 0\n",
          "vllm:time_to_first_token_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"0.04\"} 1\n",
          "turnpike_requests_refused_total{model_name=\"m\",engine=\"0\",status=\"503\"} 1\n",
          "turnpike_requests_refused_total{model_name=\"m\",engine=\"0\",status=\"other\"} 1\n",
          "turnpike_ready{model_name=\"m\",engine=\"0\"} 1\n"})
        EXPECT_NE(text.find(line), std::string::npos) << line;
    EXPECT_NE(write_metrics(metrics, load, EngineState::kDraining, "m")
                  .find("turnpike_ready{"
                        "model_name=\"m\",engine=\"0\"} 0\n"),
              std::string::npos);
}

}  // namespace
}  // namespace turnpike::engine
