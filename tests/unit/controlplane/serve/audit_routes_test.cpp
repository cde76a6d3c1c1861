// The audit by its routes: listed in pages and from a moment, verified, and refused.
#include "controlplane/serve/audit_routes.h"

#include <nlohmann/json.hpp>

#include "tests/unit/controlplane/serve/one_reply.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

class AuditRoutes : public StoreFixture {
  protected:
    AuditRoutes() {
        add_audit_routes(router_, *store_);
        for (const char* name : {"one", "two"}) {
            make_org(name);
            clock_.wall_us += 86'400'000'000;
        }
    }

    json call(const std::string& rest, int status = 200) {
        const auto reply = std::make_shared<OneReply>();
        router_.handle({"GET", "/admin/v1/audit" + rest, {}, {}}, reply);
        CHECK(reply->response);
        EXPECT_EQ(reply->response->status, status) << rest << ": " << reply->response->body;
        return json::parse(reply->response->body);
    }

    Router router_;
};

TEST_F(AuditRoutes, ListNewestFirstInPages) {
    const json all = call("");
    ASSERT_EQ(all["data"].size(), 2u);
    EXPECT_EQ(all["data"][0]["detail"], "two");
    EXPECT_EQ(all["data"][0]["actor"], "operator");
    EXPECT_EQ(all["data"][0]["action"], "organisation.create");
    EXPECT_TRUE(all["next_before"].is_null());
    const json first = call("?limit=1");
    ASSERT_EQ(first["data"].size(), 1u);
    const json second = call("?limit=1&before=" + first["next_before"].dump());
    EXPECT_EQ(second["data"][0]["detail"], "one");
    EXPECT_EQ(call("?since=2026-11-24")["data"].size(), 1u);
}

TEST_F(AuditRoutes, VerifyTellsTheHead) {
    const json report = call("/verify");
    EXPECT_EQ(report["whole"], true);
    EXPECT_EQ(report["rows"], 2);
    EXPECT_EQ(report["cut"], 0);
    EXPECT_EQ(report["head"], call("")["data"][0]["hash"]);
    EXPECT_TRUE(report["fault"].is_null());
}

TEST_F(AuditRoutes, NonsenseIsNamed) {
    EXPECT_EQ(call("?since=yesterday", 400)["error"]["param"], "since");
    EXPECT_EQ(call("?limit=1001", 400)["error"]["param"], "limit");
    EXPECT_EQ(call("?before=x", 400)["error"]["param"], "before");
}

}  // namespace
}  // namespace turnpike::controlplane
