// GET /metrics of the control plane: what stands and what is counted, under closed sets of labels.
#include "controlplane/serve/metrics_routes.h"

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "tests/unit/controlplane/serve/one_reply.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class MetricsRoutes : public StoreFixture {
  protected:
    MetricsRoutes() : poller_(std::make_unique<SnapshotPoller>(*store_, clock_)) {
        add_metrics_routes(router_, sources());
    }

    ~MetricsRoutes() override { poller_.reset(); }

    MetricsSources sources() const {
        return {*store_,         loop_, leases_, loads_, *poller_, clock_, clock_.steady_now(),
                {"1.2.3", "abc"}};
    }

    net::HttpResponse get(const std::string& target) {
        const auto reply = std::make_shared<OneReply>();
        router_.handle({"GET", target, {}, ""}, reply);
        return reply->response.value();
    }

    std::string text() { return get("/metrics").body; }

    bool has_line(const std::string& line) {
        const std::string found = text();
        return found.find("\n" + line + "\n") != std::string::npos;
    }

    LoopMetrics loop_;
    LeaseMetrics leases_;
    LoadReports loads_;
    std::unique_ptr<SnapshotPoller> poller_;
    Router router_;
};

TEST_F(MetricsRoutes, TellTheBuildAndTheStore) {
    const net::HttpResponse response = get("/metrics");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.get("content-type"), MetricsText::kContentType);
    EXPECT_TRUE(
        has_line("turnpike_build_info{process=\"controlplane\",version=\"1.2.3\","
                 "commit=\"abc\"} 1"));
    EXPECT_TRUE(has_line("turnpike_controlplane_store_readable 1"));
    EXPECT_TRUE(has_line("turnpike_controlplane_replicas{state=\"READY\"} 0"));
    EXPECT_TRUE(has_line("turnpike_controlplane_endpoints{state=\"PENDING\"} 0"));
    make_endpoint(make_org("acme").id, "acme/m-1");
    EXPECT_TRUE(has_line("turnpike_controlplane_endpoints{state=\"PENDING\"} 1"));
    EXPECT_TRUE(has_line("turnpike_controlplane_replicas_wanted 1"));
    const auto health = nlohmann::json::parse(get("/healthz").body);
    EXPECT_EQ(health["status"], "ok");
    EXPECT_EQ(health["version"], "1.2.3");
    EXPECT_EQ(health["commit"], "abc");
    EXPECT_GE(health["schema_version"], 13);
    EXPECT_EQ(get("/admin/v1/keys").status, 404);
}

TEST_F(MetricsRoutes, TellHowFreshLoadReportsAre) {
    EXPECT_TRUE(has_line("turnpike_controlplane_load_reporting_gateways 0"));
    EXPECT_TRUE(has_line("turnpike_controlplane_load_report_age_seconds 0"));
    ASSERT_TRUE(loads_.accept(R"({"gateway":"a","endpoints":[]})", now()).has_value());
    clock_.wall_us += 8'000'000;
    ASSERT_TRUE(loads_.accept(R"({"gateway":"b","endpoints":[]})", now()).has_value());
    EXPECT_TRUE(has_line("turnpike_controlplane_load_reporting_gateways 1"));
    EXPECT_TRUE(has_line("turnpike_controlplane_load_report_age_seconds 8"));
}

TEST_F(MetricsRoutes, TellWhoWaitsAndWhoWasGranted) {
    // The store is at revision 0 and so is nobody: a poll of what is there now waits.
    make_org("acme");
    poller_->poll(store_->store_id(), store_->revision(), std::make_shared<OneReply>());
    EXPECT_TRUE(has_line("turnpike_controlplane_snapshot_polls 1"));
    leases_.cut.add(2);
    EXPECT_TRUE(has_line("turnpike_controlplane_leases_total{outcome=\"cut\"} 2"));
    EXPECT_TRUE(has_line("turnpike_controlplane_leases_total{outcome=\"refused\"} 0"));
}

TEST_F(MetricsRoutes, AStoreThatCannotBeReadIsTold) {
    ServiceState state = read_state(sources());
    state.store.reset();
    MetricsText out("");
    write_state(out, state);
    EXPECT_NE(out.text().find("turnpike_controlplane_store_readable 0\n"), std::string::npos);
    EXPECT_EQ(out.text().find("turnpike_controlplane_replicas"), std::string::npos);
}

TEST_F(MetricsRoutes, NothingThatSomebodyNamedIsALabel) {
    const OrgId org = make_org("marked-org").id;
    make_endpoint(org, "marked-org/marked-model");
    ASSERT_TRUE(loads_.accept(R"({"gateway":"marked-gateway","endpoints":[]})", now()).has_value());
    LeaseRequest request;
    request.gateway = "marked-gateway";
    ASSERT_TRUE(grant_leases(*store_, request, LeaseTerms(), now()).has_value());
    const std::string found = text();
    EXPECT_EQ(found.find("marked"), std::string::npos) << found;
    EXPECT_EQ(found.find(org.value()), std::string::npos) << found;
    std::set<std::string> labels;
    const std::regex label("[{,]([a-z]+)=\"");
    for (std::sregex_iterator it(found.begin(), found.end(), label), end; it != end; ++it)
        labels.insert((*it)[1]);
    EXPECT_EQ(labels, (std::set<std::string>{"commit", "database", "direction", "gateway", "kind",
                                             "le", "outcome", "process", "state", "version"}));
}

}  // namespace
}  // namespace turnpike::controlplane
