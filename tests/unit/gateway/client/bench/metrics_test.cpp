// The definitions, each on an example worked out by hand.
#include "gateway/client/bench/metrics.h"

#include <gtest/gtest.h>

namespace turnpike::gateway::client::bench {
namespace {

// Completed; the first token at `first_s`, then one after each gap.
RequestRecord streamed(double start_s, double first_s, std::vector<double> gaps_s) {
    RequestRecord record;
    record.start_s = start_s;
    record.first_token_s = first_s;
    record.end_s = first_s;
    for (const double gap_s : gaps_s) record.end_s += gap_s;
    record.num_text_events = static_cast<std::int64_t>(gaps_s.size()) + 1;
    record.gaps_s = std::move(gaps_s);
    record.outcome = Outcome::kCompleted;
    record.usage = TokenUsage{10, 4, record.num_text_events, 0};
    record.has_bytes = true;
    return record;
}

RequestRecord failed(FailureKind kind, int status) {
    RequestRecord record;
    record.outcome = Outcome::kFailed;
    record.failure = kind;
    record.status = status;
    record.end_s = 0.5;
    return record;
}

Metrics compute(const std::vector<RequestRecord>& records, const Slo& slo = {}) {
    return compute_metrics(records, {{99.0}, slo});
}

TEST(Metrics, OfTwoStreams) {
    // Starts at 0: tokens at 1, 2, 3. Starts at 1: tokens at 1.5, 2.0, 4.0.
    const Metrics metrics = compute({streamed(0, 1, {1, 1}), streamed(1, 1.5, {0.5, 2})});
    EXPECT_EQ(metrics.num_completed, 2);
    EXPECT_DOUBLE_EQ(metrics.duration_s, 4);
    EXPECT_EQ(metrics.input_tokens, 20);
    EXPECT_EQ(metrics.cached_tokens, 8);
    EXPECT_EQ(metrics.output_tokens, 6);
    EXPECT_DOUBLE_EQ(metrics.requests_per_s, 0.5);
    EXPECT_DOUBLE_EQ(metrics.output_tokens_per_s, 1.5);
    EXPECT_DOUBLE_EQ(metrics.total_tokens_per_s, 6.5);
    EXPECT_EQ(metrics.peak_concurrency, 2);
    EXPECT_DOUBLE_EQ(metrics.ttft_ms.mean, 750);   // 1000 and 500
    EXPECT_DOUBLE_EQ(metrics.e2el_ms.mean, 3000);  // 3000 and 3000
    EXPECT_DOUBLE_EQ(metrics.tpot_ms.mean, 1125);  // (3 - 1) / 2 and (4 - 1.5) / 2
    EXPECT_EQ(metrics.itl_ms.count, 4);
    EXPECT_DOUBLE_EQ(metrics.itl_ms.mean, 1125);
    EXPECT_DOUBLE_EQ(metrics.itl_ms.median, 1000);
    EXPECT_EQ(metrics.peak_text_events_per_s, 2);  // in second 1: 1.0, 1.5; in second 2: 2.0, 2.0
}

TEST(Metrics, AnAnswerOfOneTokenHasNoTimePerToken) {
    const Metrics metrics = compute({streamed(0, 1, {})});
    EXPECT_EQ(metrics.ttft_ms.count, 1);
    EXPECT_EQ(metrics.tpot_ms.count, 0);
    EXPECT_EQ(metrics.itl_ms.count, 0);
    EXPECT_DOUBLE_EQ(metrics.e2el_ms.mean, 1000);
}

TEST(Metrics, TokensAreTheServersWhenItTellsThem) {
    // One event may hold several tokens: four by the server's count, three events.
    RequestRecord record = streamed(0, 1, {1, 1});
    record.usage->completion_tokens = 5;
    EXPECT_DOUBLE_EQ(time_per_output_token_s(record).value(), 0.5);
    record.usage.reset();
    EXPECT_DOUBLE_EQ(time_per_output_token_s(record).value(), 1);
    record.num_intended_input_tokens = 7;
    const Metrics metrics = compute({record});
    EXPECT_EQ(metrics.output_tokens, 3);
    EXPECT_EQ(metrics.input_tokens, 7);
    EXPECT_EQ(metrics.num_without_usage, 1);
}

TEST(Metrics, AnAnswerWithoutTextHasALatencyOnly) {
    RequestRecord record;
    record.outcome = Outcome::kCompleted;
    record.end_s = 2;
    record.usage = TokenUsage{3, 0, 1, 0};
    const Metrics metrics = compute({record});
    EXPECT_EQ(metrics.ttft_ms.count, 0);
    EXPECT_EQ(metrics.tpot_ms.count, 0);
    EXPECT_DOUBLE_EQ(metrics.e2el_ms.mean, 2000);
    EXPECT_EQ(metrics.output_tokens, 1);
}

TEST(Metrics, OfNoRequestAreZero) {
    const Metrics metrics = compute({});
    EXPECT_EQ(metrics.num_requests, 0);
    EXPECT_EQ(metrics.requests_per_s, 0);
    EXPECT_EQ(metrics.ttft_ms.count, 0);
    EXPECT_EQ(metrics.peak_concurrency, 0);
}

TEST(Metrics, CountWhatWasNotCompletedApart) {
    RequestRecord left = streamed(0, 1, {1});
    left.outcome = Outcome::kDisconnected;
    left.phase = Phase::kThinking;
    RequestRecord left_early;
    left_early.outcome = Outcome::kDisconnected;
    RequestRecord abandoned;
    const Metrics metrics =
        compute({left, left_early, abandoned, failed(FailureKind::kStatus, 429),
                 failed(FailureKind::kStatus, 429), failed(FailureKind::kConnect, 0)});
    EXPECT_EQ(metrics.num_requests, 6);
    EXPECT_EQ(metrics.num_completed, 0);
    EXPECT_EQ(metrics.num_disconnected, 2);
    EXPECT_EQ(metrics.num_disconnected_before_first_byte, 1);
    const std::array<std::int64_t, kNumPhases> by_phase{1, 0, 0, 1, 0};
    EXPECT_EQ(metrics.num_disconnected_while, by_phase);
    EXPECT_EQ(metrics.num_abandoned, 1);
    EXPECT_EQ(metrics.num_failed, 3);
    const std::map<std::string, std::int64_t> failures{{"connect", 1}, {"status_429", 2}};
    EXPECT_EQ(metrics.failures, failures);
    EXPECT_EQ(metrics.ttft_ms.count, 0);  // only of what was completed
    EXPECT_EQ(metrics.output_tokens, 0);
    EXPECT_EQ(metrics.num_text_events, 2);
}

TEST(Goodput, NeedsEveryGoal) {
    const RequestRecord record = streamed(0, 0.4, {0.05, 0.05});  // TPOT 50 ms, E2EL 500 ms
    EXPECT_TRUE(is_good(record, {500, {}, {}}));
    EXPECT_FALSE(is_good(record, {399, {}, {}}));
    EXPECT_FALSE(is_good(record, {500, 49, {}}));
    EXPECT_TRUE(is_good(record, {500, 51, 501}));
    EXPECT_FALSE(is_good(record, {500, 51, 499}));
    const Metrics metrics = compute({record, streamed(0, 1, {1})}, {500, {}, {}});
    EXPECT_EQ(metrics.num_good, 1);
    EXPECT_DOUBLE_EQ(metrics.good_requests_per_s, 0.5);
}

TEST(Goodput, OfOneTokenIsItsFirst) {
    EXPECT_TRUE(is_good(streamed(0, 0.4, {}), {500, 1, {}}));
    RequestRecord silent;
    silent.end_s = 1;
    EXPECT_FALSE(is_good(silent, {500, {}, {}}));
    EXPECT_TRUE(is_good(silent, {1000, {}, {}}));
}

TEST(PeakConcurrency, DoesNotCountOneThatEndsAsAnotherStarts) {
    const std::vector<RequestRecord> in_turn{streamed(0, 1, {}), streamed(1, 2, {})};
    EXPECT_EQ(peak_concurrency(in_turn), 1);
    const std::vector<RequestRecord> nested{streamed(0, 9, {}), streamed(1, 2, {}),
                                            streamed(1.5, 3, {}), streamed(4, 5, {})};
    EXPECT_EQ(peak_concurrency(nested), 3);
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
