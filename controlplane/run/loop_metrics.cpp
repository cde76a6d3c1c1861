#include "controlplane/run/loop_metrics.h"

#include <algorithm>
#include <chrono>

namespace turnpike::controlplane {
namespace {

constexpr std::array kPassBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                 0.25,  0.5,    1.0,   2.5,  5.0,   10.0, 30.0};

// In the order of Action and of ScaleDirection.
constexpr std::array<std::string_view, LoopMetrics::kNumKinds> kKinds{
    "start", "drain", "kill", "mark_replica", "forget_replica", "mark_endpoint"};
constexpr std::array<std::string_view, LoopMetrics::kNumDirections> kDirections{"up", "down",
                                                                                "stop"};

double seconds(SteadyTime::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

double number(const Counter& counter) {
    return static_cast<double>(counter.value());
}

bool has_failed(const Observed& observed, const ReplicaId& id) {
    return std::any_of(observed.replicas.begin(), observed.replicas.end(), [&](const auto& row) {
        return row.id == id && row.state == ReplicaState::kFailed;
    });
}

void write_actions(MetricsText& out, const LoopMetrics& metrics) {
    constexpr std::string_view kName = "turnpike_controlplane_actions_total";
    out.family(kName, "counter", "Steps of the reconcile loop, by kind and how they ended.");
    for (std::size_t i = 0; i < kKinds.size(); ++i) {
        const std::string kind = metric_label("kind", kKinds[i]);
        out.sample(kName, number(metrics.actions_done[i]), kind + ",outcome=\"done\"");
        out.sample(kName, number(metrics.actions_failed[i]), kind + ",outcome=\"failed\"");
    }
}

void write_decisions(MetricsText& out, const LoopMetrics& metrics) {
    constexpr std::string_view kName = "turnpike_controlplane_scale_decisions_total";
    out.family(kName, "counter", "Changes of how many replicas an endpoint should have.");
    for (std::size_t i = 0; i < kDirections.size(); ++i)
        out.sample(kName, number(metrics.decisions[i]), metric_label("direction", kDirections[i]));
}

}  // namespace

LoopMetrics::LoopMetrics() : pass_s(kPassBounds) {}

void LoopMetrics::note(const Action& action, bool is_done, const Observed& observed) {
    (is_done ? actions_done : actions_failed)[action.index()].add();
    if (const auto* start = std::get_if<StartReplica>(&action)) {
        if (has_failed(observed, start->id)) restarts.add();
        if (!is_done) replica_failures.add();
    }
    const auto* mark = std::get_if<MarkReplica>(&action);
    if (mark != nullptr && is_done && mark->state == ReplicaState::kFailed) replica_failures.add();
}

void LoopMetrics::note_decision(ScaleDirection direction) {
    decisions[static_cast<std::size_t>(direction)].add();
}

void LoopMetrics::note_pass(SteadyTime began, SteadyTime now, bool is_complete) {
    if (!is_complete) {
        passes_failed.add();
        return;
    }
    pass_s.observe(seconds(now - began));
    last_pass_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

double LoopMetrics::seconds_since_pass(SteadyTime start, SteadyTime now) const {
    const SteadyTime last{SteadyTime::duration(last_pass_.load(std::memory_order_relaxed))};
    return std::max(0.0, seconds(now - std::max(start, last)));
}

void write_loop_metrics(MetricsText& out,
                        const LoopMetrics& metrics,
                        SteadyTime started_at,
                        SteadyTime now) {
    out.histogram("turnpike_controlplane_pass_seconds", "Complete passes of the reconcile loop.",
                  metrics.pass_s);
    out.counter("turnpike_controlplane_pass_failures_total",
                "Passes that could not see what is wanted or what there is.",
                number(metrics.passes_failed));
    out.gauge("turnpike_controlplane_pass_age_seconds", "Since the last complete pass.",
              metrics.seconds_since_pass(started_at, now));
    write_actions(out, metrics);
    out.counter("turnpike_controlplane_replica_failures_total",
                "Replicas that ended, hung or did not start.", number(metrics.replica_failures));
    out.counter("turnpike_controlplane_replica_restarts_total",
                "Starts of replicas that had failed.", number(metrics.restarts));
    write_decisions(out, metrics);
    out.counter("turnpike_controlplane_minutes_booked_total",
                "Minutes of dedicated replicas that were booked.", number(metrics.minutes_booked));
}

}  // namespace turnpike::controlplane
