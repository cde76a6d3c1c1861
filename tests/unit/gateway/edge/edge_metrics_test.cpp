// What a gateway counts, and that a client cannot make it count under new names.
#include "gateway/edge/edge_metrics.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

using controlplane::Outcome;

RequestLog log_of(std::string_view route, int status) {
    RequestLog log;
    log.route = route;
    log.status = status;
    return log;
}

bool has_line(const std::string& text, const std::string& line) {
    return text.find(line + "\n") != std::string::npos;
}

TEST(EdgeMetrics, CountsByRouteStatusAndOutcome) {
    EdgeMetrics metrics;
    RequestLog served = log_of("chat_completions", 200);
    served.outcome = Outcome::kCompleted;
    served.usage = {12, 4, 30, 20};
    served.first_output = served.began + std::chrono::milliseconds(20);
    const SteadyTime end = served.began + std::chrono::milliseconds(300);
    metrics.note(served, end);
    metrics.note(served, end);
    metrics.note(log_of("models", 401), end);
    EdgeState state;
    state.num_holds = 3;
    state.share_ppm = 250'000;
    state.build = {"1.2.3", "abc"};
    state.certificate_left_s = -60.0;
    const std::string text = write_metrics(metrics, state);
    for (const char* line :
         {"turnpike_gateway_requests_total{route=\"chat_completions\",status=\"200\"} 2",
          "turnpike_gateway_requests_total{route=\"models\",status=\"401\"} 1",
          "turnpike_gateway_outcomes_total{outcome=\"completed\"} 2",
          "turnpike_gateway_outcomes_total{outcome=\"client_gone\"} 0",
          "turnpike_gateway_prompt_tokens_total 24", "turnpike_gateway_cached_tokens_total 8",
          "turnpike_gateway_completion_tokens_total 60", "turnpike_gateway_holds 3",
          "turnpike_gateway_limits_share 0.25", "turnpike_gateway_certificate_left_seconds -60",
          "turnpike_build_info{process=\"gateway\",version=\"1.2.3\",commit=\"abc\"} 1",
          "turnpike_gateway_first_output_seconds_bucket{le=\"0.01\"} 0",
          "turnpike_gateway_first_output_seconds_bucket{le=\"0.025\"} 2",
          "turnpike_gateway_request_seconds_count 3"})
        EXPECT_TRUE(has_line(text, line)) << line << " in\n" << text;
    EXPECT_EQ(text.find("outbox_free"), std::string::npos) << "of a file system that is not known";
}

TEST(EdgeMetrics, LabelsAreAClosedSet) {
    EdgeMetrics metrics;
    for (int i = 0; i < 1000; ++i) {
        const std::string route = "junk" + std::to_string(i);
        RequestLog log = log_of(route, 600 + i);
        log.model = "model" + std::to_string(i);
        metrics.note(log, log.began);
    }
    const std::string text = write_metrics(metrics, {});
    EXPECT_EQ(text.find("junk"), std::string::npos);
    EXPECT_EQ(text.find("model"), std::string::npos);
    EXPECT_TRUE(
        has_line(text, "turnpike_gateway_requests_total{route=\"unknown\",status=\"other\"} 1000"));
}

}  // namespace
}  // namespace turnpike::gateway
