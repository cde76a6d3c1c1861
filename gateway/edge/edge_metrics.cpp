#include "gateway/edge/edge_metrics.h"

#include <algorithm>
#include <string_view>

#include "config/base/check.h"

namespace turnpike::gateway {

using controlplane::Outcome;

namespace {

constexpr std::array<int, EdgeMetrics::kNumStatuses - 1> kStatuses{
    200, 400, 401, 402, 403, 404, 405, 408, 413, 415, 429, 431, 499, 500, 502, 503, 504};

constexpr std::array<Outcome, EdgeMetrics::kNumOutcomes> kOutcomes{
    Outcome::kCompleted, Outcome::kClientGone, Outcome::kRefused, Outcome::kReplicaFailed,
    Outcome::kGatewayFailed};

constexpr std::array kFirstOutputBounds{0.001, 0.0025, 0.005, 0.01,  0.025, 0.05,
                                        0.1,   0.25,   0.5,   1.0,   2.5,   5.0,
                                        10.0,  30.0,   60.0,  120.0, 300.0, 600.0};
constexpr std::array kDurationBounds{0.005, 0.01, 0.025, 0.05, 0.1,   0.25,  0.5,   1.0,   2.5,
                                     5.0,   10.0, 30.0,  60.0, 120.0, 300.0, 900.0, 1800.0};

std::size_t route_index(std::string_view name) {
    for (std::size_t i = 0; i < kNumRoutes; ++i) {
        if (to_string(static_cast<Route>(i)) == name) return i;
    }
    return kNumRoutes;
}

std::size_t status_index(int status) {
    return static_cast<std::size_t>(std::find(kStatuses.begin(), kStatuses.end(), status) -
                                    kStatuses.begin());
}

double seconds(SteadyTime::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

double number(std::int64_t count) {
    return static_cast<double>(count);
}

// Only pairs that occurred: the whole table would be some two hundred zeros.
void write_requests(MetricsText& out, const EdgeMetrics& metrics) {
    constexpr std::string_view kName = "turnpike_gateway_requests_total";
    out.family(kName, "counter", "Requests by route and status.");
    for (std::size_t route = 0; route <= kNumRoutes; ++route) {
        const std::string_view name =
            route == kNumRoutes ? "unknown" : to_string(static_cast<Route>(route));
        for (std::size_t i = 0; i < EdgeMetrics::kNumStatuses; ++i) {
            const std::int64_t count = metrics.requests[route][i].value();
            if (count == 0) continue;
            const std::string status =
                i < kStatuses.size() ? std::to_string(kStatuses[i]) : "other";
            out.sample(kName, number(count),
                       metric_label("route", name) + "," + metric_label("status", status));
        }
    }
}

void write_outcomes(MetricsText& out, const EdgeMetrics& metrics) {
    constexpr std::string_view kName = "turnpike_gateway_outcomes_total";
    out.family(kName, "counter", "Dispatched requests by how they are recorded.");
    for (std::size_t i = 0; i < kOutcomes.size(); ++i) {
        out.sample(kName, number(metrics.outcomes[i].value()),
                   metric_label("outcome", controlplane::to_string(kOutcomes[i])));
    }
}

void write_state(MetricsText& out, const EdgeState& state) {
    out.gauge("turnpike_gateway_slots", "Requests that count for limits of concurrency.",
              number(state.num_slots));
    out.gauge("turnpike_gateway_holds", "Requests that hold credit.", number(state.num_holds));
    out.gauge("turnpike_gateway_open_requests", "Requests in the outbox without an end.",
              number(state.num_open));
    out.gauge("turnpike_gateway_unresolved_requests",
              "Requests whose counts an engine is being asked for.", number(state.num_unresolved));
    out.gauge("turnpike_gateway_undelivered_records",
              "Usage records that the control plane has not acknowledged.",
              number(state.num_undelivered));
    out.gauge("turnpike_gateway_limits_share", "This gateway's part of every rate limit, 1 = all.",
              number(state.share_ppm) / 1e6);
    out.gauge("turnpike_gateway_snapshot_age_seconds",
              "Since the control plane last confirmed keys, prices and routes.",
              state.snapshot_age_s);
    if (state.certificate_left_s) {
        out.gauge("turnpike_gateway_certificate_left_seconds",
                  "Until the certificate ends; negative once it has.", *state.certificate_left_s);
    }
    if (state.outbox_free_bytes) {
        out.gauge("turnpike_gateway_outbox_free_bytes", "Left on the outbox's file system.",
                  number(*state.outbox_free_bytes));
    }
}

}  // namespace

EdgeMetrics::EdgeMetrics() : first_output_s(kFirstOutputBounds), duration_s(kDurationBounds) {}

void EdgeMetrics::note(const RequestLog& log, SteadyTime now) {
    requests[route_index(log.route)][status_index(log.status)].add();
    duration_s.observe(seconds(now - log.began));
    if (!log.outcome) return;
    const auto outcome = std::find(kOutcomes.begin(), kOutcomes.end(), *log.outcome);
    CHECK(outcome != kOutcomes.end());
    outcomes[static_cast<std::size_t>(outcome - kOutcomes.begin())].add();
    prompt_tokens.add(log.usage.prompt_tokens);
    cached_tokens.add(log.usage.cached_tokens);
    completion_tokens.add(log.usage.completion_tokens);
    if (log.first_output) first_output_s.observe(seconds(*log.first_output - log.began));
}

std::string write_metrics(const EdgeMetrics& metrics, const EdgeState& state) {
    MetricsText out("");
    write_build_info(out, "gateway", state.build);
    write_requests(out, metrics);
    write_outcomes(out, metrics);
    out.counter("turnpike_gateway_prompt_tokens_total", "Prompt tokens of dispatched requests.",
                number(metrics.prompt_tokens.value()));
    out.counter("turnpike_gateway_cached_tokens_total", "Those of them found in a prefix cache.",
                number(metrics.cached_tokens.value()));
    out.counter("turnpike_gateway_completion_tokens_total", "Generated tokens.",
                number(metrics.completion_tokens.value()));
    out.counter("turnpike_gateway_orphans_total", "Requests that an earlier run left open.",
                number(metrics.orphans.value()));
    out.gauge("turnpike_gateway_connections", "Open connections of clients.",
              number(metrics.connections.value()));
    write_state(out, state);
    out.histogram("turnpike_gateway_first_output_seconds", "Head received to first bytes sent.",
                  metrics.first_output_s);
    out.histogram("turnpike_gateway_request_seconds", "Head received to the end.",
                  metrics.duration_s);
    return out.text();
}

}  // namespace turnpike::gateway
