// What an engine tells Prometheus: the names that dashboards read.
#include "engine/serve/engine_metrics.h"

#include <gtest/gtest.h>

namespace turnpike::engine {
namespace {

TEST(EngineMetrics, HasTheNamesThatDashboardsRead) {
    EngineMetrics metrics;
    Load load;
    load.num_running = 3;
    load.num_waiting = 4;
    load.kv_blocks_total = 8;
    load.kv_blocks_used = 2;
    load.accepted_tokens = 11;
    load.accepted_at = {8, 3};
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
          "vllm:spec_decode_num_accepted_tokens_per_pos_total{model_name=\"m\",engine=\"0\","
          "position=\"1\"} 3\n",
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
