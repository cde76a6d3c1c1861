// The JSON holds every number; the table leaves out what there is none of.
#include "gateway/client/bench/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace turnpike::gateway::client::bench {
namespace {

using nlohmann::json;

std::vector<RequestRecord> some_records() {
    RequestRecord good;
    good.request_id = "r0";
    good.first_token_s = 0.1;
    good.end_s = 0.3;
    good.gaps_s = {0.05, 0.15};
    good.num_text_events = 3;
    good.usage = TokenUsage{5, 2, 3, 0};
    good.finish_reason = "length";
    good.outcome = Outcome::kCompleted;
    RequestRecord bad;
    bad.index = 1;
    bad.outcome = Outcome::kFailed;
    bad.failure = FailureKind::kStatus;
    bad.status = 503;
    bad.message = "full \xff";
    return {good, bad};
}

TEST(ReportJson, HoldsEveryNumber) {
    const auto records = some_records();
    const MetricsOptions options{{90, 99.9}, {500, {}, {}}};
    RunFacts facts;
    facts.commit = "abc";
    facts.machine = "cpu";
    facts.arguments = {"--seed", "1"};
    facts.metadata = {{"gpu", "none"}};
    facts.client_cpu_s = 0.000009;
    const json report =
        json::parse(report_json(compute_metrics(records, options), facts, options.slo, records));
    EXPECT_EQ(report["commit"], "abc");
    EXPECT_EQ(report["machine"]["cpu"], "cpu");
    EXPECT_EQ(report["arguments"], json::parse(R"(["--seed", "1"])"));
    EXPECT_EQ(report["metadata"]["gpu"], "none");
    EXPECT_EQ(report["requests"], json::parse(R"({"total": 2, "completed": 1, "failed": 1,
        "failures": {"status_503": 1}, "disconnected": 0, "disconnected_before_first_byte": 0,
        "disconnected_while": {"connecting": 0, "sending": 0, "waiting": 0, "thinking": 0,
        "answering": 0}, "abandoned": 0})"));
    EXPECT_EQ(report["tokens"]["input"], 5);
    EXPECT_EQ(report["tokens"]["cached"], 2);
    EXPECT_EQ(report["tokens"]["output"], 3);
    EXPECT_EQ(report["goodput"]["good_requests"], 1);
    EXPECT_EQ(report["goodput"]["slo_ms"], json::parse(R"({"ttft": 500.0})"));
    EXPECT_EQ(report["ttft_ms"]["p99.9"], 100.0);
    EXPECT_EQ(report["tpot_ms"]["mean"], 100.0);
    EXPECT_EQ(report["itl_ms"]["count"], 2);
    EXPECT_EQ(report["e2el_ms"]["p90"], 300.0);
    EXPECT_EQ(report["client"]["cpu_us_per_text_event"], 3.0);
    ASSERT_EQ(report["rows"].size(), 2U);
    EXPECT_EQ(report["rows"][0]["itl_ms"], json::parse("[50.0, 150.0]"));
    EXPECT_EQ(report["rows"][0]["tpot_ms"], 100.0);
    EXPECT_EQ(report["rows"][1]["failure"], "status_503");
    EXPECT_EQ(report["rows"][1]["message"], "full \xef\xbf\xbd");
}

TEST(ReportJson, OfNothingIsStillWhole) {
    const json report = json::parse(report_json(compute_metrics({}, {}), {}, {}, {}));
    EXPECT_EQ(report["ttft_ms"], json::parse(R"({"count": 0})"));
    EXPECT_FALSE(report.contains("goodput"));
    EXPECT_FALSE(report.contains("rows"));
}

TEST(ReportTable, TellsFailuresByKindWithAnExample) {
    const auto records = some_records();
    const std::string table = report_table(compute_metrics(records, {}), {}, {});
    EXPECT_NE(table.find("status_503"), std::string::npos) << table;
    EXPECT_NE(table.find("full \\xff"), std::string::npos) << table;
    EXPECT_NE(table.find("TTFT"), std::string::npos);
    EXPECT_EQ(report_table(compute_metrics({}, {}), {}, {}).find("TTFT"), std::string::npos);
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
