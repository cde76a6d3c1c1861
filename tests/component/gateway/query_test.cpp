// What the control plane answers for a customer, through the gateway and its key.
#include <gmock/gmock.h>

#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using test::FakeEngine;
using test::RawResponse;
using testing::HasSubstr;

class QueryTest : public GatewayTest {
  protected:
    // By key A.
    RawResponse ask(const std::string& target, const std::string& extra_lines = "") {
        return get(target, "authorization: Bearer " + world_.key_a() + "\r\n" + extra_lines);
    }
};

TEST_F(QueryTest, GoesToTheControlPlaneInTheNameOfTheKey) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    for (const std::string target :
         {"/v1/generation?id=01J", "/v1/whoami", "/v1/billing/usage?month=2026-11",
          "/v1/organization/usage/completions?start_time=1&group_by[]=model",
          "/v1/organization/costs?start_time=1"}) {
        const RawResponse response = ask(target);
        EXPECT_EQ(response.status, 200) << target;
        EXPECT_EQ(response.body, "org_a key_of_org_a " + target);
        EXPECT_EQ(response.header("content-type"), "application/json");
    }
    EXPECT_EQ(ask("/v1/generation?id=none").status, 404);
    EXPECT_TRUE(engine.requests().empty());
}

// A client cannot say whose it is.
TEST_F(QueryTest, TheClientsOwnCallerHeadersAreNotPassedOn) {
    publish({});
    const RawResponse response =
        ask("/v1/whoami", "x-turnpike-org: org_b\r\nx-turnpike-key: key_of_org_b\r\n");
    EXPECT_EQ(response.body, "org_a key_of_org_a /v1/whoami");
}

TEST_F(QueryTest, IsRefusedWithoutKeyAndWithAnotherMethod) {
    publish({});
    test::TlsClient client = connect();
    client.send("GET /v1/whoami HTTP/1.1\r\nhost: x\r\n\r\n");
    EXPECT_EQ(client.read_response().status, 401);
    EXPECT_EQ(post("{}", "/v1/whoami").status, 405);
}

TEST_F(QueryTest, Is503WhileTheControlPlaneIsAway) {
    publish({});
    EXPECT_EQ(ask("/v1/whoami").status, 200);
    controlplane_->stop();
    const RawResponse response = ask("/v1/whoami");
    EXPECT_EQ(response.status, 503);
    EXPECT_THAT(response.body, HasSubstr("\"error\""));
    controlplane_->start();
    EXPECT_EQ(ask("/v1/whoami").status, 200);
}

}  // namespace
}  // namespace turnpike::gateway
