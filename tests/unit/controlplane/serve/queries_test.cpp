// Bills by their routes, and the queries of customers in the shapes of OpenAI and Together.
#include <nlohmann/json.hpp>
#include <optional>

#include "controlplane/api/caller.h"
#include "controlplane/serve/billing_routes.h"
#include "controlplane/serve/operator_access.h"
#include "controlplane/serve/public_routes.h"
#include "controlplane/serve/usage_queries.h"
#include "controlplane/store/minutes.h"
#include "tests/unit/controlplane/serve/one_reply.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

constexpr std::int64_t kDayS = 86'400;
constexpr std::int64_t kToday = 1'795'392'000;  // 2026-11-23, midnight

class Queries : public StoreFixture {
  protected:
    Queries() {
        add_billing_routes(router_, *store_, clock_);
        add_public_routes(router_, *store_, clock_, caller_of_gateway());
        org_ = make_org("demo").id;
        price_ = make_name(make_endpoint(org_, "demo/pool").id, "name", price_of(3000, 7000))
                     .price.version;
    }

    std::string text(const std::string& method,
                     const std::string& target,
                     const std::string& body = "",
                     int status = 200) {
        net::HttpRequest request{method, target, {}, body};
        if (!caller_.empty()) request.headers.add(std::string(kCallerOrgHeader), caller_);
        request.headers.add(std::string(kCallerKeyHeader), "key_1");
        const auto reply = std::make_shared<OneReply>();
        router_.handle(request, reply);
        CHECK(reply->response);
        EXPECT_EQ(reply->response->status, status) << target << ": " << reply->response->body;
        return reply->response->body;
    }

    json get(const std::string& target, int status = 200) {
        return json::parse(text("GET", target, "", status));
    }

    UsageRecord ingest(UsageRecord record) {
        EXPECT_TRUE(store_->ingest_and_wait({"o", 0, {record}}).has_value());
        return record;
    }

    // Today at noon: two requests of two keys, one with cached tokens, and one that was ours to
    // lose.
    void fill() {
        caller_ = org_.value();
        UsageRecord first = make_record(org_, price_, 1000, 50);
        first.usage.cached_tokens = 640;
        first_ = ingest(first);
        UsageRecord second = make_record(org_, price_, 10, 5);
        second.key = KeyId("key_2");
        second.model = "other";
        ingest(second);
        UsageRecord lost = make_record(org_, price_, 77, 77);
        lost.outcome = Outcome::kReplicaFailed;
        ingest(lost);
    }

    Router router_;
    OrgId org_;
    std::int64_t price_ = 0;
    std::string caller_;
    UsageRecord first_;
};

TEST_F(Queries, UsageComesInBucketsAsAtOpenAi) {
    fill();
    const json page =
        get("/v1/organization/usage/completions?start_time=" + std::to_string(kToday - kDayS) +
            "&group_by[]=model&group_by=api_key_id");
    EXPECT_EQ(page["object"], "page");
    EXPECT_EQ(page["has_more"], false);
    EXPECT_TRUE(page["next_page"].is_null());
    ASSERT_EQ(page["data"].size(), 2U);
    EXPECT_TRUE(page["data"][0]["results"].empty());
    const json today = page["data"][1];
    EXPECT_EQ(today["start_time"], kToday);
    ASSERT_EQ(today["results"].size(), 2U);
    const json result = today["results"][0];
    EXPECT_EQ(result["object"], "organization.usage.completions.result");
    EXPECT_EQ(result["model"], "name");
    EXPECT_EQ(result["api_key_id"], "key_1");
    EXPECT_EQ(result["input_tokens"], 1000);
    EXPECT_EQ(result["input_cached_tokens"], 640);
    EXPECT_EQ(result["input_uncached_tokens"], 360);
    EXPECT_EQ(result["output_tokens"], 50);
    EXPECT_EQ(result["num_model_requests"], 1);
    EXPECT_TRUE(result["project_id"].is_null());
}

TEST_F(Queries, PagesFollowOneAnother) {
    fill();
    const std::string target = "/v1/organization/usage/completions?limit=2&start_time=" +
                               std::to_string(kToday - 2 * kDayS) +
                               "&end_time=" + std::to_string(kToday + kDayS);
    const json first = get(target);
    EXPECT_EQ(first["data"].size(), 2U);
    EXPECT_EQ(first["has_more"], true);
    const json second = get(target + "&page=" + first["next_page"].get<std::string>());
    ASSERT_EQ(second["data"].size(), 1U);
    EXPECT_EQ(second["has_more"], false);
    EXPECT_EQ(second["data"][0]["results"][0]["num_model_requests"], 2);
}

TEST_F(Queries, FiltersChooseModelsAndKeys) {
    fill();
    const std::string target =
        "/v1/organization/usage/completions?start_time=" + std::to_string(kToday);
    const auto input = [&](const std::string& filter) {
        const json results = get(target + filter)["data"][0]["results"];
        return results.empty() ? 0 : results[0]["input_tokens"].get<int>();
    };
    EXPECT_EQ(input(""), 1010);
    EXPECT_EQ(input("&models[]=other"), 10);
    EXPECT_EQ(input("&models=other&models=name"), 1010);
    EXPECT_EQ(input("&api_key_ids%5B%5D=key_1"), 1000);
    EXPECT_EQ(input("&project_ids=somebody"), 0);
    EXPECT_EQ(input("&bucket_width=1h"), 0);  // the first hour of the day
}

TEST_F(Queries, CostsAreExactAndInTheirLines) {
    fill();
    const std::string target = "/v1/organization/costs?start_time=" + std::to_string(kToday);
    // (1010 - 0) x 3000 + 55 x 7000: the cached price is the input price here.
    EXPECT_NE(text("GET", target).find(R"("amount":{"value":0.003415,"currency":"usd"})"),
              std::string::npos);
    const json lines = get(target + "&group_by=line_item")["data"][0]["results"];
    ASSERT_EQ(lines.size(), 5U);
    EXPECT_EQ(lines[0]["line_item"], "name, Cached Input Tokens");
    EXPECT_EQ(lines[0]["quantity"], 640);
    EXPECT_TRUE(lines[0]["api_key_id"].is_null());
}

TEST_F(Queries, CostsHaveTheMinutesOfDedicatedReplicas) {
    fill();
    const EndpointId endpoint = make_endpoint(org_, "acme/own").id;
    Price price;
    price.per_minute_nano_usd = NanoUsd(90'000'000);
    make_name(endpoint, "acme/own", price);
    ASSERT_TRUE(book_minutes(
        *store_, std::vector{ReadyReplica{ReplicaId("r"), endpoint, "acme/own", org_, 0}}, now()));
    const std::string target = "/v1/organization/costs?start_time=" + std::to_string(kToday);
    EXPECT_NE(text("GET", target).find(R"("amount":{"value":0.093415,"currency":"usd"})"),
              std::string::npos);
    const json lines = get(target + "&group_by=line_item&models=acme/own")["data"][0]["results"];
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0]["line_item"], "acme/own, Replica Minutes");
    EXPECT_EQ(lines[0]["quantity"], 1);
    EXPECT_TRUE(get(target + "&models=acme/own&api_key_ids=key_1")["data"][0]["results"].empty());
}

TEST_F(Queries, BadQueriesNameTheParameter) {
    fill();
    const std::string usage = "/v1/organization/usage/completions?start_time=1";
    const auto param = [&](const std::string& target) {
        return get(target, 400)["error"]["param"];
    };
    EXPECT_EQ(param("/v1/organization/usage/completions"), "start_time");
    EXPECT_EQ(param(usage + "&bucket_width=2d"), "bucket_width");
    EXPECT_EQ(param(usage + "&limit=32"), "limit");
    EXPECT_EQ(param(usage + "&group_by=colour"), "group_by");
    EXPECT_EQ(param(usage + "&page=x"), "page");
    EXPECT_EQ(param(usage + "&end_time=-1"), "end_time");
    EXPECT_EQ(param("/v1/organization/costs?start_time=1&bucket_width=1h"), "bucket_width");
    EXPECT_EQ(param("/v1/billing/usage?month=x"), "month");
    EXPECT_EQ(param("/v1/billing/usage?month=2026-11&granularity=week"), "granularity");
    EXPECT_EQ(param("/v1/generation"), "id");
}

TEST_F(Queries, BillingUsageHasFinishedWindowsInDecimalText) {
    fill();
    EXPECT_TRUE(get("/v1/billing/usage?month=2026-11")["data"].empty());  // today is not over
    clock_.wall_us += kDayS * 1'000'000;
    const json month = get("/v1/billing/usage?month=2026-11");
    EXPECT_EQ(month["object"], "list");
    EXPECT_EQ(month["organization_id"], org_.value());
    EXPECT_EQ(month["currency"], "USD");
    ASSERT_EQ(month["data"].size(), 1U);
    EXPECT_EQ(month["data"][0]["date"], "2026-11-23");
    const json item = month["data"][0]["line_items"][0];
    EXPECT_EQ(item["product_name"], "Serverless Inference - Input Tokens");
    EXPECT_EQ(item["quantity"], "360");
    EXPECT_EQ(item["unit_price"], "0.000003");
    EXPECT_EQ(item["cost"], "0.00108");
    EXPECT_EQ(item["attributes"]["api_key_id"], "key_1");
    EXPECT_TRUE(month["next_cursor"].is_null());
    EXPECT_EQ(get("/v1/billing/usage?month=2026-11&granularity=hour")["data"][0]["start_time"],
              "2026-11-23T12:00:00.000Z");
    get("/v1/billing/usage?month=2026-11&organization_id=org_other", 404);
}

TEST_F(Queries, APastRequestIsShownToItsOrganisationAlone) {
    fill();
    const std::string target = "/v1/generation?id=" + first_.request_id.value();
    const std::string shown = text("GET", target);
    EXPECT_NE(shown.find(R"("total_cost":0.00335})"), std::string::npos) << shown;
    const json data = json::parse(shown)["data"];
    EXPECT_EQ(data["id"], first_.request_id.value());
    EXPECT_EQ(data["tokens_prompt"], 1000);
    EXPECT_EQ(data["native_tokens_cached"], 640);
    caller_ = make_org("other").id.value();
    const std::string foreign = text("GET", target, "", 404);
    EXPECT_EQ(foreign, text("GET", target, "", 404));
    get("/v1/generation?id=nonsense", 404);
    get("/v1/generation?id=" + crypto::new_request_id(now()).value(), 404);
    caller_.clear();
    get(target, 401);
}

TEST_F(Queries, AnOperatorSaysWhoseUsageItIs) {
    fill();
    Router admin;
    add_public_routes(admin, *store_, clock_, caller_of_operator(*store_));
    const OperatorKeys keys =
        OperatorKeys::parse("alice " + crypto::to_hex(crypto::sha256("secret")) + "\n", "keys")
            .value();
    const auto handle = operator_handler(admin, keys, log_);
    const auto ask = [&](const std::string& target, const std::string& authorization) {
        net::HttpRequest request{"GET", target, {{"authorization", authorization}}, ""};
        request.headers.add(std::string(kCallerOrgHeader), org_.value());
        const auto reply = std::make_shared<OneReply>();
        handle(request, reply);
        return reply->response->status;
    };
    EXPECT_EQ(ask("/v1/whoami?org=demo", "Bearer secret"), 200);
    EXPECT_EQ(ask("/v1/whoami", "Bearer secret"), 400);
    EXPECT_EQ(ask("/v1/whoami?org=nobody", "Bearer secret"), 404);
    for (const char* wrong : {"", "Bearer ", "Bearer secre", "secret", "Bearer secret "}) {
        EXPECT_EQ(ask("/v1/whoami?org=demo", wrong), 401) << wrong;
    }
}

TEST(OperatorKeys, LinesAreReadStrictly) {
    const std::string digest(64, 'a');
    EXPECT_TRUE(OperatorKeys::parse("a " + digest + "\n\nb " + digest, "f").has_value());
    for (const std::string& text :
         {std::string(), std::string("a"), "a " + digest.substr(1), " " + digest}) {
        EXPECT_FALSE(OperatorKeys::parse(text, "f").has_value()) << text;
    }
    EXPECT_EQ(OperatorKeys::load("/nonexistent/keys").error().code, ErrorCode::kIo);
}

TEST_F(Queries, WhoAmI) {
    caller_ = org_.value();
    const json me = get("/v1/whoami");
    EXPECT_EQ(me["organization_id"], org_.value());
    EXPECT_EQ(me["organization_name"], "demo");
    EXPECT_EQ(me["api_key_id"], "key_1");
}

TEST_F(Queries, PricesAreSetInUsdPerMillionTokens) {
    const std::string body =
        R"({"name":"name","input_usd_per_mtok":"0.55","output_usd_per_mtok":"2.19",)"
        R"("cached_input_usd_per_mtok":"0.14","from":"2026-12-01"})";
    const json set = json::parse(text("POST", "/admin/v1/prices", body));
    EXPECT_EQ(set["input_nano_usd"], 550);
    EXPECT_EQ(set["cached_input_nano_usd"], 140);
    EXPECT_EQ(set["output_usd_per_mtok"], "2.19");
    EXPECT_EQ(set["from"], "2026-12-01T00:00:00.000Z");
    EXPECT_EQ(get("/admin/v1/prices?name=name")["data"].size(), 2U);
    EXPECT_EQ(parse_per_token_price("0.0005", "p").error().param, "p");
    EXPECT_EQ(parse_per_token_price("x", "p").error().param, "p");
    EXPECT_EQ(parse_per_token_price("0.001", "p").value(), NanoUsd(1));
}

TEST_F(Queries, MomentsAreReadStrictly) {
    EXPECT_EQ(to_unix_us(parse_utc("2026-11-23T12:00:00Z", "f").value()), clock_.wall_us);
    for (const char* text :
         {"", "2026-02-30", "2026-13-01", "2026-11-23T24:00:00Z", "2026-11-23T",
          "2026-11-23 12:00:00Z", "2026-1-01", "+026-11-01", "2026-11-23T1:00:00Z"}) {
        EXPECT_EQ(parse_utc(text, "f").error().param, "f") << text;
    }
}

TEST_F(Queries, InvoicesExportsAndRollups) {
    fill();
    ASSERT_TRUE(store_->wait_until_posted().has_value());
    const json invoice = get("/admin/v1/invoice?org=demo&month=2026-11");
    EXPECT_EQ(invoice["total_nano_usd"], 3'415'000);
    EXPECT_EQ(invoice["due_cents"], 0);
    EXPECT_EQ(invoice["lines"].size(), 2U);
    EXPECT_EQ(invoice["written_off"]["num_requests"], 1);
    const json exported = get("/admin/v1/usage/export?org=demo&month=2026-11");
    const std::string csv = exported["csv"];
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);
    EXPECT_TRUE(exported["next_after"].is_null());
    EXPECT_EQ(get("/admin/v1/rollups?org=demo")["data"].size(), 3U);
    EXPECT_EQ(get("/admin/v1/invoice?month=2026-11", 400)["error"]["param"], "org");
}

TEST_F(Queries, QuarantineIsListedAndReleased) {
    const UsageRecord record = ingest(make_record(org_, 999, 1, 1));
    const json listed = get("/admin/v1/quarantine");
    EXPECT_EQ(listed["count"], 1);
    EXPECT_EQ(listed["data"][0]["reason"], "no price version 999");
    const std::string target = "/admin/v1/quarantine/" + record.request_id.value() + "/release";
    text("POST", target, "{}", 409);
    text("POST", target, R"({"price_version":)" + std::to_string(price_) + "}");
    EXPECT_EQ(get("/admin/v1/quarantine")["count"], 0);
}

}  // namespace
}  // namespace turnpike::controlplane
