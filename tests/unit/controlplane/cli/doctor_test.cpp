// What `turnpike doctor` makes of what it found: each judgment at its edges.
#include "controlplane/cli/doctor.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;
using std::chrono::hours;

constexpr std::int64_t kGibi = 1 << 30;
const WallTime kNow = from_unix_us(1'795'435'200'000'000);  // 2026-11-23T12:00:00Z

Finding judge(WallTime not_before,
              WallTime not_after,
              std::string_view host = "",
              const std::vector<std::string>& names = {"localhost", "127.0.0.1"}) {
    const crypto::Certificate certificate{names, not_before, not_after};
    return judge_certificate({certificate, true}, host, kNow);
}

TEST(JudgeCertificate, FailsBeforeItBeginsAndOnceItEnded) {
    EXPECT_EQ(judge(kNow, kNow + hours(24 * 31)).verdict, Verdict::kOk);
    EXPECT_EQ(judge(kNow, kNow + hours(24 * 31)).found,
              "for localhost, 127.0.0.1; ends in 31 days, on 2026-12-24");
    EXPECT_EQ(judge(kNow, kNow + hours(24 * 30)).verdict, Verdict::kOk);
    EXPECT_EQ(judge(kNow, kNow + hours(24 * 30 - 1)).verdict, Verdict::kWarn);
    EXPECT_EQ(judge(kNow - hours(48), kNow).verdict, Verdict::kFail);
    EXPECT_EQ(judge(kNow - hours(48), kNow).found, "ended on 2026-11-23");
    EXPECT_EQ(judge(kNow + hours(1), kNow + hours(9999)).verdict, Verdict::kFail);
}

TEST(JudgeCertificate, WarnsOfAHostThatItIsNotFor) {
    const WallTime end = kNow + hours(9999);
    EXPECT_EQ(judge(kNow, end, "localhost").verdict, Verdict::kOk);
    const Finding other = judge(kNow, end, "api.example.org");
    EXPECT_EQ(other.verdict, Verdict::kWarn);
    EXPECT_NE(other.advice.find("api.example.org"), std::string::npos);
    EXPECT_EQ(judge(kNow, end, "", {}).verdict, Verdict::kFail);
}

TEST(JudgeCertificate, FailsWithoutFilesThatBelongTogether) {
    const crypto::Certificate good{{"localhost"}, kNow, kNow + hours(9999)};
    const Error absent{ErrorCode::kIo, "cannot read key", {}};
    EXPECT_EQ(judge_certificate({absent, true}, "", kNow).found, "cannot read key");
    EXPECT_EQ(judge_certificate({absent, true}, "", kNow).verdict, Verdict::kFail);
    EXPECT_EQ(judge_certificate({good, absent}, "", kNow).verdict, Verdict::kFail);
    EXPECT_EQ(judge_certificate({good, false}, "", kNow).verdict, Verdict::kFail);
}

TEST(Covers, OneLabelByAStar) {
    EXPECT_TRUE(covers({"a.org", "b.org"}, "b.org"));
    EXPECT_TRUE(covers({"*.b.org"}, "x.b.org"));
    EXPECT_FALSE(covers({"*.b.org"}, "b.org"));
    EXPECT_FALSE(covers({"*.b.org"}, "x.y.b.org"));
    EXPECT_FALSE(covers({"*.b.org"}, ".b.org"));
    EXPECT_FALSE(covers({"*.b.org"}, "localhost"));
    EXPECT_FALSE(covers({}, "b.org"));
}

TEST(JudgeSpace, ByBytesAndByShare) {
    const auto verdict = [](std::int64_t free, std::int64_t total) {
        return judge_space("data", "/data", Space{free, total}).verdict;
    };
    EXPECT_EQ(verdict(2 * kGibi, 40 * kGibi), Verdict::kOk);
    EXPECT_EQ(verdict(2 * kGibi - 1, 40 * kGibi), Verdict::kWarn);
    EXPECT_EQ(verdict(3 * kGibi, 100 * kGibi), Verdict::kWarn);
    EXPECT_EQ(verdict(100 << 20, 40 * kGibi), Verdict::kWarn);
    EXPECT_EQ(verdict((100 << 20) - 1, 40 * kGibi), Verdict::kFail);
    const Finding absent = judge_space("run", "/r", Error{ErrorCode::kIo, "/r: gone", {}});
    EXPECT_EQ(absent.check, "disk run");
    EXPECT_EQ(absent.verdict, Verdict::kFail);
    EXPECT_EQ(judge_space("data", "/data", Space{3 * kGibi / 2, kGibi * 4}).found,
              "/data: 1.5 GiB of 4.0 GiB free");
}

TEST(JudgeClock, WarnsUnlessItIsRight) {
    EXPECT_EQ(judge_clock(ClockStatus{true, 20'000}).verdict, Verdict::kOk);
    EXPECT_EQ(judge_clock(ClockStatus{true, 20'000}).found, "synchronised within 20 ms");
    EXPECT_EQ(judge_clock(ClockStatus{true, 1'000'001}).verdict, Verdict::kWarn);
    EXPECT_EQ(judge_clock(ClockStatus{false, 0}).verdict, Verdict::kWarn);
    EXPECT_EQ(judge_clock(Error{ErrorCode::kIo, "no", {}}).verdict, Verdict::kWarn);
}

TEST(JudgeOpenFiles, WantsTwoForEachConnectionOfAThread) {
    EXPECT_EQ(judge_open_files(OpenFileLimits{8192, 8192}).verdict, Verdict::kOk);
    EXPECT_EQ(judge_open_files(OpenFileLimits{8191, 8192}).verdict, Verdict::kWarn);
    EXPECT_EQ(judge_open_files(OpenFileLimits{256, 8192}).verdict, Verdict::kWarn);
    EXPECT_EQ(judge_open_files(OpenFileLimits{255, 8192}).verdict, Verdict::kFail);
}

TEST(JudgeGpus, NoneIsWellUnlessTheSettingsHaveSome) {
    const Error absent{ErrorCode::kNotFound, "no nvidia-smi", {}};
    EXPECT_EQ(judge_gpus(absent, 0).verdict, Verdict::kOk);
    EXPECT_EQ(judge_gpus(absent, 0).found, "none");
    EXPECT_EQ(judge_gpus(absent, 8).verdict, Verdict::kWarn);
    const ProgramRun two{0, "NVIDIA H100, 81559 MiB\nNVIDIA H100, 81559 MiB\n", ""};
    EXPECT_EQ(judge_gpus(two, 2).verdict, Verdict::kOk);
    EXPECT_EQ(judge_gpus(two, 2).found, "2: NVIDIA H100, 81559 MiB; NVIDIA H100, 81559 MiB");
    EXPECT_EQ(judge_gpus(two, 8).verdict, Verdict::kWarn);
    const Finding broken = judge_gpus(ProgramRun{9, "No devices were found\n", ""}, 0);
    EXPECT_EQ(broken.verdict, Verdict::kFail);
    EXPECT_EQ(broken.found, "No devices were found");
    EXPECT_EQ(judge_gpus(ProgramRun{9, "", ""}, 0).verdict, Verdict::kFail);
    EXPECT_EQ(judge_gpus(Error{ErrorCode::kTimeout, "hangs", {}}, 0).verdict, Verdict::kFail);
}

TEST(JudgeModel, GivesTheEnginesOwnWords) {
    EXPECT_EQ(judge_model("/m", ProgramRun{0, "", ""}).verdict, Verdict::kOk);
    const Finding broken = judge_model("/m", ProgramRun{1, "", "a\nturnpike-engine: short\n"});
    EXPECT_EQ(broken.verdict, Verdict::kFail);
    EXPECT_EQ(broken.found, "turnpike-engine: short");
    EXPECT_EQ(judge_model("/m", ProgramRun{1, "", ""}).found, "/m: not whole");
    EXPECT_EQ(judge_model("/m", Error{ErrorCode::kNotFound, "no", {}}).verdict, Verdict::kFail);
}

TEST(JudgeDatabases, TellsSchemaAndQuarantine) {
    const json good{{"schema_version", 13}, {"revision", 7}, {"quarantined", 0}};
    EXPECT_EQ(judge_databases(good).verdict, Verdict::kOk);
    EXPECT_EQ(judge_databases(good).found, "schema 13, revision 7");
    json waiting = good;
    waiting["quarantined"] = 2;
    EXPECT_EQ(judge_databases(waiting).verdict, Verdict::kWarn);
    EXPECT_EQ(judge_databases(Error{ErrorCode::kUnavailable, "no", {}}).verdict, Verdict::kFail);
}

TEST(JudgePart, FailsWhatIsNotReady) {
    EXPECT_EQ(judge_part({"pool", "STARTED", "1 of 1", true}).verdict, Verdict::kOk);
    const Finding broken = judge_part({"pool", "ERROR", "no memory", false});
    EXPECT_EQ(broken.verdict, Verdict::kFail);
    EXPECT_EQ(broken.check, "health pool");
    EXPECT_EQ(broken.found, "ERROR; no memory");
}

TEST(JudgeBuilds, WarnsOfAnotherBuild) {
    const BuildInfo ours{"1.0.0", "abc"};
    const Finding same = judge_builds({{"turnpike", ours}, {"gateway", ours}});
    EXPECT_EQ(same.verdict, Verdict::kOk);
    EXPECT_EQ(same.found, "1.0.0 abc: turnpike, gateway");
    const Finding skewed =
        judge_builds({{"turnpike", ours}, {"gateway", {"1.0.0", "def"}}, {"engine r", ours}});
    EXPECT_EQ(skewed.verdict, Verdict::kWarn);
    EXPECT_EQ(skewed.found, "1.0.0 abc: turnpike, engine r; but gateway 1.0.0 def");
}

TEST(FindBuild, ReadsTheMetrics) {
    MetricsText out("model_name=\"m\"");
    out.counter("before_total", "Before.", 1);
    write_build_info(out, "engine", {"1.2.3", "abc-dirty"});
    const auto build = find_build(out.text());
    ASSERT_TRUE(build.has_value());
    EXPECT_EQ(build->version, "1.2.3");
    EXPECT_EQ(build->commit, "abc-dirty");
    EXPECT_FALSE(find_build("turnpike_build_info{version=\"1\"} 1\n").has_value());
    EXPECT_FALSE(find_build("turnpike_build_info{version=\"1").has_value());
    EXPECT_FALSE(find_build("").has_value());
}

TEST(KindOfSettings, ByWhatOnlyOneHas) {
    EXPECT_EQ(kind_of_settings(json{{"outbox_dir", "o"}}), "gateway");
    EXPECT_EQ(kind_of_settings(json{{"data_dir", "d"}}), "controlplane");
    EXPECT_EQ(kind_of_settings(json{{"model_dir", "m"}}), "engine");
    EXPECT_EQ(kind_of_settings(json::object()), "");
    EXPECT_EQ(kind_of_settings(json(3)), "");
    EXPECT_EQ(kind_of_settings(json::parse("{", nullptr, false)), "");
}

TEST(Findings, AreATableAndJson) {
    const std::vector<Finding> findings{{"clock", Verdict::kWarn, "late", "set it"},
                                        {"gpus", Verdict::kOk, "none", ""}};
    EXPECT_FALSE(has_failed(findings));
    EXPECT_EQ(to_text(findings),
              "CHECK  STATE  FOUND  DO\n"
              "clock  warn   late   set it\n"
              "gpus   ok     none\n");
    EXPECT_EQ(to_json(findings), json::parse(R"({"ok":true,"checks":[
        {"check":"clock","state":"warn","found":"late","advice":"set it"},
        {"check":"gpus","state":"ok","found":"none","advice":""}]})"));
    const std::vector<Finding> failed{{"driver", Verdict::kFail, "no", "yes"}};
    EXPECT_TRUE(has_failed(failed));
    EXPECT_FALSE(to_json(failed)["ok"]);
}

}  // namespace
}  // namespace turnpike::controlplane::cli
