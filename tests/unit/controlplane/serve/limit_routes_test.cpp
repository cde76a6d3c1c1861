// Limits by their routes: set, changed, shown, listed and refused.
#include "controlplane/serve/limit_routes.h"

#include <nlohmann/json.hpp>

#include "tests/unit/controlplane/serve/one_reply.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

class LimitRoutes : public StoreFixture {
  protected:
    LimitRoutes() : subject_("organisation:" + make_org("acme").id.value()) {
        add_limit_routes(router_, *store_, clock_);
    }

    json call(const std::string& method,
              const std::string& subject,
              const std::string& body = "",
              int status = 200) {
        const std::string query = subject.empty() ? "" : "?subject=" + subject;
        const auto reply = std::make_shared<OneReply>();
        router_.handle({method, "/admin/v1/limits" + query, {}, body}, reply);
        CHECK(reply->response);
        EXPECT_EQ(reply->response->status, status) << subject << ": " << reply->response->body;
        return json::parse(reply->response->body);
    }

    json refusal(const std::string& method,
                 const std::string& subject,
                 const std::string& body,
                 int status) {
        return call(method, subject, body, status)["error"];
    }

    std::string subject_;
    Router router_;
};

TEST_F(LimitRoutes, PutReplacesAndPatchChangesWhatItNames) {
    EXPECT_TRUE(call("GET", subject_)["requests_per_minute"].is_null());
    call("PUT", subject_, R"({"requests_per_minute":60})");
    const json changed = call("PATCH", subject_, R"({"monthly_nano_usd":1500000000})");
    EXPECT_EQ(changed, json::parse(R"({"name":"acme","requests_per_minute":60,
                           "tokens_per_minute":null,"concurrent_requests":null,
                           "monthly_nano_usd":1500000000,"monthly_usd":"1.50","subject":")" +
                                   subject_ + "\"}"));
    EXPECT_EQ(call("GET", "organisation:acme"), changed);
    EXPECT_EQ(call("PATCH", "organisation:acme", "{}"), changed);
    const json replaced = call("PUT", subject_, R"({"tokens_per_minute":7})");
    EXPECT_TRUE(replaced["requests_per_minute"].is_null());
    EXPECT_EQ(replaced["tokens_per_minute"], 7);
}

TEST_F(LimitRoutes, ListHasWhatHasLimits) {
    EXPECT_TRUE(call("GET", "")["data"].empty());
    const json changed = call("PATCH", subject_, R"({"requests_per_minute":60})");
    EXPECT_EQ(call("GET", ""), json({{"data", json::array({changed})}}));
    call("PATCH", subject_, R"({"requests_per_minute":null})");
    EXPECT_TRUE(call("GET", "")["data"].empty());
}

TEST_F(LimitRoutes, RefusalsSayWhatWasExpectedAndFound) {
    for (const char* method : {"PUT", "PATCH"}) {
        EXPECT_EQ(refusal(method, subject_, R"({"requests_per_minute":0})", 400)["message"],
                  "'requests_per_minute': expected 1 to 1000000000000, found 0");
        EXPECT_EQ(refusal(method, subject_, R"({"tokens_per_minute":"9"})", 400)["message"],
                  "limits: 'tokens_per_minute' expected an integer, found string");
        EXPECT_EQ(refusal(method, subject_, "nothing", 400)["message"],
                  "limits: expected a JSON object");
        EXPECT_EQ(refusal(method, "organisation:none", "{}", 404)["message"],
                  "expected the id or name of an organisation, as `turnpike org list` shows them, "
                  "found 'none'");
        EXPECT_EQ(refusal(method, "acme", "{}", 400)["param"], "subject");
        EXPECT_EQ(refusal(method, "", "{}", 400)["param"], "subject");
    }
    EXPECT_EQ(refusal("GET", "acme", "", 400)["message"],
              "expected a subject 'organisation:<id or name>', 'key:<id>' or 'model:<name>', found "
              "'acme'");
    EXPECT_EQ(refusal("GET", "key:none", "", 404)["param"], "subject");
}

}  // namespace
}  // namespace turnpike::controlplane
