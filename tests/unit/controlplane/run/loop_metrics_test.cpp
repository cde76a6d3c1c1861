// What the reconcile loop counts, by kind and never by name.
#include "controlplane/run/loop_metrics.h"

#include <gtest/gtest.h>

#include <string>

namespace turnpike::controlplane {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SteadyTime kStart{std::chrono::hours(1)};

std::string text_of(const LoopMetrics& metrics, SteadyTime now = kStart) {
    MetricsText out("");
    write_loop_metrics(out, metrics, kStart, now);
    return out.text();
}

bool has_line(const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
}

Observed observed_with(const ReplicaId& id, ReplicaState state) {
    Replica row;
    row.id = id;
    row.state = state;
    return {{row}, {}};
}

TEST(LoopMetrics, ActionsCountByKindAndOutcome) {
    LoopMetrics metrics;
    metrics.note(DrainReplica{}, true, {});
    metrics.note(DrainReplica{}, true, {});
    metrics.note(MarkEndpoint{}, false, {});
    const std::string text = text_of(metrics);
    for (const char* line :
         {"turnpike_controlplane_actions_total{kind=\"drain\",outcome=\"done\"} 2",
          "turnpike_controlplane_actions_total{kind=\"drain\",outcome=\"failed\"} 0",
          "turnpike_controlplane_actions_total{kind=\"mark_endpoint\",outcome=\"failed\"} 1",
          "turnpike_controlplane_actions_total{kind=\"start\",outcome=\"done\"} 0"})
        EXPECT_TRUE(has_line(text, line)) << line << " in\n" << text;
}

TEST(LoopMetrics, AFailureIsCountedOnceAndARestartOnlyAfterOne) {
    LoopMetrics metrics;
    const ReplicaId id("r0");
    StartReplica start;
    start.id = id;
    metrics.note(start, true, {});
    metrics.note(start, true, observed_with(id, ReplicaState::kStopped));
    EXPECT_EQ(metrics.restarts.value(), 0);
    MarkReplica mark;
    mark.id = id;
    mark.state = ReplicaState::kReady;
    metrics.note(mark, true, {});
    EXPECT_EQ(metrics.replica_failures.value(), 0);
    mark.state = ReplicaState::kFailed;
    metrics.note(mark, false, {});  // not written, so that the next pass marks it again
    EXPECT_EQ(metrics.replica_failures.value(), 0);
    metrics.note(mark, true, {});
    EXPECT_EQ(metrics.replica_failures.value(), 1);
    metrics.note(start, false, observed_with(id, ReplicaState::kFailed));
    EXPECT_EQ(metrics.replica_failures.value(), 2);
    EXPECT_EQ(metrics.restarts.value(), 1);
    metrics.note(start, true, observed_with(ReplicaId("other"), ReplicaState::kFailed));
    EXPECT_EQ(metrics.restarts.value(), 1);
}

TEST(LoopMetrics, TheAgeIsThatOfTheLastCompletePass) {
    LoopMetrics metrics;
    EXPECT_DOUBLE_EQ(metrics.seconds_since_pass(kStart, kStart + seconds(7)), 7.0);
    metrics.note_pass(kStart + seconds(7), kStart + seconds(8), true);
    metrics.note_pass(kStart + seconds(9), kStart + seconds(10), false);
    EXPECT_DOUBLE_EQ(metrics.seconds_since_pass(kStart, kStart + seconds(12)), 4.0);
    const std::string text = text_of(metrics, kStart + milliseconds(8'500));
    for (const char* line : {"turnpike_controlplane_pass_age_seconds 0.5",
                             "turnpike_controlplane_pass_failures_total 1",
                             "turnpike_controlplane_pass_seconds_count 1",
                             "turnpike_controlplane_pass_seconds_bucket{le=\"0.5\"} 0",
                             "turnpike_controlplane_pass_seconds_bucket{le=\"1\"} 1"})
        EXPECT_TRUE(has_line(text, line)) << line << " in\n" << text;
}

TEST(LoopMetrics, DecisionsCountByDirection) {
    LoopMetrics metrics;
    metrics.note_decision(ScaleDirection::kUp);
    metrics.note_decision(ScaleDirection::kStop);
    metrics.note_decision(ScaleDirection::kStop);
    const std::string text = text_of(metrics);
    for (const char* line : {"turnpike_controlplane_scale_decisions_total{direction=\"up\"} 1",
                             "turnpike_controlplane_scale_decisions_total{direction=\"down\"} 0",
                             "turnpike_controlplane_scale_decisions_total{direction=\"stop\"} 2"})
        EXPECT_TRUE(has_line(text, line)) << line << " in\n" << text;
}

}  // namespace
}  // namespace turnpike::controlplane
