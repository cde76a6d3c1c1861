// Routes by their functions, without sockets: shapes, errors, and long polls that are answered by
// the commit that they wait for.
#include <condition_variable>
#include <nlohmann/json.hpp>

#include "config/base/limits.h"
#include "controlplane/serve/account_routes.h"
#include "controlplane/serve/health_route.h"
#include "controlplane/serve/internal_routes.h"
#include "controlplane/serve/lease_routes.h"
#include "tests/unit/controlplane/serve/late_reply.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

class Routes : public StoreFixture {
  protected:
    Routes() : poller_(std::make_unique<SnapshotPoller>(*store_, clock_)) {
        add_account_routes(router_, *store_, peppers_, clock_);
        add_health_route(router_, *store_, {"1.2.3", "abc"});
        add_internal_routes(router_, *store_, *poller_, loads_, clock_, [this] { ++num_wakes_; });
        add_lease_routes(router_, *store_, LeaseTerms(), lease_metrics_, clock_);
    }

    ~Routes() override { poller_.reset(); }

    std::shared_ptr<LateReply> begin(const std::string& method,
                                     const std::string& target,
                                     const std::string& body = "") {
        auto reply = std::make_shared<LateReply>();
        net::HttpRequest request;
        request.method = method;
        request.target = target;
        request.body = body;
        router_.handle(request, reply);
        return reply;
    }

    json call(const std::string& method,
              const std::string& target,
              const std::string& body = "",
              int status = 200) {
        const net::HttpResponse response = begin(method, target, body)->wait();
        EXPECT_EQ(response.status, status) << target << ": " << response.body;
        return json::parse(response.body);
    }

    std::string poll_target(std::int64_t after) const {
        return "/internal/v1/snapshot?store=" + store_->store_id() +
               "&after=" + std::to_string(after);
    }

    crypto::Peppers peppers_{{{1, Secret(std::string(32, 'p'))}}};
    LoadReports loads_;
    LeaseMetrics lease_metrics_;
    int num_wakes_ = 0;
    Router router_;
    std::unique_ptr<SnapshotPoller> poller_;
};

TEST_F(Routes, FromAnOrganisationToABill) {
    const json org = call("POST", "/admin/v1/organisations", R"({"name":"demo"})");
    EXPECT_EQ(org["balance_usd"], "0.00");
    EXPECT_EQ(org["created_at"], "2026-11-23T12:00:00.000Z");
    const json key = call("POST", "/admin/v1/keys", R"({"org":"demo","name":"ci"})");
    EXPECT_EQ(key["key"].get<std::string>().substr(0, 8), "tp_live_");
    EXPECT_FALSE(call("GET", "/admin/v1/keys?org=demo")["data"][0].contains("key"));
    const std::string credit =
        R"({"org":"demo","amount_usd":"20","note":"start","idempotency_key":"a"})";
    EXPECT_EQ(call("POST", "/admin/v1/credit", credit)["balance_usd"], "20.00");
    EXPECT_EQ(call("POST", "/admin/v1/credit", credit)["balance_nano_usd"], 20'000'000'000);

    const OrgId id(org["id"].get<std::string>());
    const ModelRow model = make_name(make_endpoint(id, "demo/pool").id, "name", price_of(50, 100));
    const UsageBatch batch{"o", 0, {make_record(id, model.price.version, 12, 7)}};
    const std::string body = write_usage_batch(batch);
    EXPECT_EQ(call("POST", "/internal/v1/usage", body)["new"], 1);
    EXPECT_EQ(call("POST", "/internal/v1/usage", body)["repeated"], 1);
    ASSERT_TRUE(store_->wait_until_posted().has_value());

    const json usage = call("GET", "/admin/v1/usage?org=demo&limit=5");
    ASSERT_EQ(usage["data"].size(), 1U);
    EXPECT_EQ(usage["data"][0]["cost_nano_usd"], 1300);
    EXPECT_EQ(usage["data"][0]["cost_usd"], "0.0000013");
    EXPECT_EQ(usage["data"][0]["billed"], true);
    EXPECT_EQ(usage["totals"]["completion_tokens"], 7);
    const json billing = call("GET", "/admin/v1/billing");
    EXPECT_EQ(billing["data"][0]["charged_nano_usd"], 1300);
    EXPECT_EQ(billing["data"][0]["balance_nano_usd"], 20'000'000'000 - 1300);
    EXPECT_EQ(billing["usage_cost_nano_usd"], 1300);
    EXPECT_EQ(billing["ledger_sum_nano_usd"], 0);
    EXPECT_EQ(billing["unposted_events"], 0);
    EXPECT_EQ(billing["agrees"], true);
    EXPECT_EQ(call("GET", "/admin/v1/models")["data"][0]["name"], "name");
    EXPECT_EQ(call("GET", "/healthz")["status"], "ok");
    const std::string key_path = "/admin/v1/keys/" + key["id"].get<std::string>();
    EXPECT_FALSE(call("DELETE", key_path)["revoked_at"].is_null());
}

TEST_F(Routes, ErrorsNameTheParameter) {
    call("POST", "/admin/v1/organisations", R"({"name":"demo"})");
    EXPECT_EQ(call("POST", "/admin/v1/organisations", R"({"name":"demo"})", 409)["error"]["param"],
              "name");
    EXPECT_EQ(call("POST", "/admin/v1/organisations", R"({"name":3})", 400)["error"]["param"],
              "name");
    call("POST", "/admin/v1/organisations", "nonsense", 400);
    EXPECT_EQ(call("POST", "/admin/v1/keys", R"({"org":"none"})", 404)["error"]["param"], "org");
    const std::string credit = R"({"org":"demo","amount_usd":"1e3"})";
    EXPECT_EQ(call("POST", "/admin/v1/credit", credit, 400)["error"]["param"], "amount_usd");
    EXPECT_EQ(call("GET", "/admin/v1/usage?limit=0", "", 400)["error"]["param"], "limit");
    call("GET", "/admin/v1/usage?org=none", "", 404);
    call("GET", "/admin/v1/billing?org=none", "", 404);
    call("DELETE", "/admin/v1/keys/none", "", 404);
}

TEST_F(Routes, UnknownPathsAndMethodsAreTold) {
    call("GET", "/admin/v1/nothing", "", 404);
    const net::HttpResponse response = begin("PUT", "/admin/v1/keys")->wait();
    EXPECT_EQ(response.status, 405);
    EXPECT_EQ(response.headers.get("allow"), "POST, GET");
}

TEST_F(Routes, PlaceholdersMatchDecodedSegments) {
    Router router;
    PathArguments seen;
    const auto keep = [&seen](const net::HttpRequest&, const PathArguments& arguments) {
        seen = arguments;
        return json_response(200, "{}");
    };
    router.add("GET", "/a/{}/b/{}", keep);
    router.add("GET", "/files/{*}", keep);
    const auto get = [&router](const std::string& target) {
        auto reply = std::make_shared<LateReply>();
        router.handle({"GET", target, {}, ""}, reply);
        return reply->wait().status;
    };
    EXPECT_EQ(get("/a/x%2Fy/b/%41%?q=1"), 200);
    EXPECT_EQ(seen, (PathArguments{"x/y", "A%"}));
    EXPECT_EQ(get("/files/one/two"), 200);
    EXPECT_EQ(seen, (PathArguments{"one/two"}));
    EXPECT_EQ(get("/a//b/z"), 404);
    EXPECT_EQ(get("/a/x/b"), 404);
    EXPECT_EQ(get("/a/x/b/z/more"), 404);
}

TEST_F(Routes, AnImpossibleUsageBatchIsRefused) {
    call("POST", "/internal/v1/usage", "{}", 400);
    const OrgId id = make_org("demo").id;
    UsageBatch batch{"o", 0, {make_record(id, 77, 1, 1)}};
    const json kept = call("POST", "/internal/v1/usage", write_usage_batch(batch));
    EXPECT_EQ(kept["quarantined"], 1);  // the record is wrong, not the batch
    EXPECT_EQ(call("GET", "/healthz")["quarantined"], 1);
    batch.records.resize(limits::kMaxUsageBatch + 1, batch.records[0]);
    call("POST", "/internal/v1/usage", write_usage_batch(batch), 413);
}

TEST_F(Routes, ASnapshotPollIsAnsweredAtOnceWhenThereIsNews) {
    make_org("demo");
    EXPECT_EQ(call("GET", "/internal/v1/snapshot?store=&after=0")["full"], true);
    EXPECT_EQ(call("GET", poll_target(0))["full"], true);
    make_org("other");
    const json delta = call("GET", poll_target(1));
    EXPECT_EQ(delta["full"], false);
    EXPECT_EQ(delta["organisations"].size(), 1U);
    EXPECT_EQ(delta["revision"], 2);
    call("GET", "/internal/v1/snapshot?after=x", "", 400);
    call("GET", "/internal/v1/snapshot?after=-1", "", 400);
}

TEST_F(Routes, AWaitingSnapshotPollIsAnsweredByTheCommit) {
    make_org("demo");
    const auto first = begin("GET", poll_target(1));
    const auto second = begin("GET", poll_target(1));
    EXPECT_FALSE(first->is_answered());
    make_org("other");
    for (const auto& reply : {first, second}) {
        const json delta = json::parse(reply->wait().body);
        EXPECT_EQ(delta["revision"], 2);
        EXPECT_EQ(delta["organisations"][0]["row"]["name"], "other");
    }
}

TEST_F(Routes, ASnapshotPollEndsWithAnEmptyDeltaWhenItsTimeIsUp) {
    const EndpointId endpoint = make_endpoint(make_org("demo").id, "demo/pool").id;
    const std::int64_t revision = store_->revision();
    const auto waiting = begin("GET", poll_target(revision));
    const auto touch = [&] {  // a commit that publishes nothing, but wakes
        return set_endpoint_state(*store_, endpoint, EndpointState::kStarting, "", now());
    };
    ASSERT_TRUE(touch().has_value());
    EXPECT_FALSE(waiting->is_answered());
    clock_.steady = limits::kSnapshotPollTimeout;
    ASSERT_TRUE(touch().has_value());
    const json delta = json::parse(waiting->wait().body);
    EXPECT_EQ(delta["revision"], revision);
    EXPECT_TRUE(delta["endpoints"].empty());
}

TEST_F(Routes, StoppingAnswersWaitingPollsWithAnEmptyDelta) {
    make_org("demo");
    const auto waiting = begin("GET", poll_target(1));
    EXPECT_FALSE(waiting->is_answered());
    poller_->stop();
    const json delta = json::parse(waiting->wait().body);
    EXPECT_EQ(delta["full"], false);
    EXPECT_TRUE(delta["organisations"].empty());
    EXPECT_EQ(call("GET", poll_target(1))["revision"], 1);
}

TEST_F(Routes, LoadReportsAreSummedOverGateways) {
    const std::string load = R"(,"endpoints":[{"endpoint":"e","in_flight":2,"queued":1,)";
    call("POST", "/internal/v1/load", R"({"gateway":"a")" + load + R"("wait_ms":5}]})");
    call("POST", "/internal/v1/load", R"({"gateway":"b")" + load + R"("wait_ms":9}]})");
    call("POST", "/internal/v1/load", R"({"gateway":"b")" + load + R"("wait_ms":7}]})");
    const auto loads = loads_.loads(now());
    ASSERT_TRUE(loads.has_value());
    ASSERT_EQ(loads->size(), 1U);
    EXPECT_EQ(loads->front().num_in_flight, 4);
    EXPECT_EQ(loads->front().num_queued, 2);
    EXPECT_EQ(loads->front().wait_ms, 7);
    EXPECT_EQ(num_wakes_, 3) << "requests wait in each";
    EXPECT_FALSE(loads_.loads(now() + std::chrono::seconds(1)).has_value());
    call("POST", "/internal/v1/load", R"({"gateway":"a","endpoints":[{"endpoint":"e"}]})", 400);
    call("POST", "/internal/v1/load", R"({"gateway":"a")" + load + R"("wait_ms":5,"arrived":-1}]})",
         400);
    call("POST", "/internal/v1/load", R"({"gateway":"a","endpoints":3})", 400);
}

TEST_F(Routes, LoadReportsTellTheMeanAndWhatCameAndWent) {
    const std::string load =
        R"(,"endpoints":[{"endpoint":"e","in_flight":0,"queued":0,"wait_ms":0,)";
    call("POST", "/internal/v1/load", R"({"gateway":"a")" + load + R"("mean_in_flight":0.25}]})");
    call("POST", "/internal/v1/load", R"({"gateway":"b")" + load + R"("mean_in_flight":0.5}]})");
    auto loads = loads_.loads(now());
    ASSERT_TRUE(loads.has_value());
    ASSERT_EQ(loads->size(), 1U);
    EXPECT_EQ(loads->front().num_in_flight, 0.75);
    EXPECT_EQ(loads->front().last_request_at, now());

    const WallTime arrived_at = now();
    call("POST", "/internal/v1/load", R"({"gateway":"b")" + load + R"("arrived":1}]})");
    call("POST", "/internal/v1/load", R"({"gateway":"a","endpoints":[]})");
    call("POST", "/internal/v1/load", R"({"gateway":"b","endpoints":[]})");
    loads = loads_.loads(arrived_at);
    ASSERT_EQ(loads->size(), 1U) << "later reports do not hide it";
    EXPECT_EQ(loads->front().num_in_flight, 0.0);
    EXPECT_EQ(loads->front().last_request_at, arrived_at);
}

TEST_F(Routes, LeasesAreGrantedAndFenced) {
    const std::string org = call("POST", "/admin/v1/organisations", R"({"name":"acme"})")["id"];
    call("POST", "/admin/v1/credit", R"({"org":"acme","amount_usd":"1.00"})");
    const std::string asks = R"("delivered_earlier_runs":true,"leaving":false,"share_ppm":0,)"
                             R"("asks":[{"subject":)"
                             R"("organisation:)" +
                             org +
                             R"(","settled_nano_usd":0,"returned_nano_usd":0,)"
                             R"("wanted_nano_usd":2000000000}]})";
    const json answer = call("POST", "/internal/v1/leases", R"({"gateway":"g","epoch":0,)" + asks);
    EXPECT_EQ(answer["epoch"], 1);
    EXPECT_EQ(answer["share_ppm"], 1'000'000);
    EXPECT_EQ(answer["grants"][0]["granted_nano_usd"], 1'000'000'000);
    EXPECT_EQ(answer["grants"][0]["short"], true);
    call("POST", "/internal/v1/leases", R"({"gateway":"g","epoch":9,)" + asks, 409);
    call("POST", "/internal/v1/leases", "{}", 400);
}

}  // namespace
}  // namespace turnpike::controlplane
