// Every refusal that the routes can produce, and that none of them reaches an engine.
#include <gmock/gmock.h>

#include <cerrno>

#include "config/base/limits.h"
#include "config/crypto/identifiers.h"
#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using test::EngineConnection;
using test::EngineRequest;
using test::FakeEngine;
using test::RawResponse;
using testing::HasSubstr;

class RefusalTest : public GatewayTest {
  protected:
    RawResponse post_with_key(const std::string& authorization) {
        test::TlsClient client = connect();
        const std::string body = kUnaryBody;
        client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + authorization +
                    "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        return client.read_response();
    }
};

TEST_F(RefusalTest, BadKeysAllLookTheSame) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    std::string typo = world_.key_a();
    typo[12] = typo[12] == 'A' ? 'B' : 'A';
    const std::string unknown = crypto::new_api_key().reveal();
    std::string expected;
    for (const std::string& line :
         {std::string(), "authorization: Bearer " + typo + "\r\n",
          "authorization: Bearer " + unknown + "\r\n", std::string("authorization: Basic eA==\r\n"),
          std::string("authorization: Bearer \r\n")}) {
        const RawResponse response = post_with_key(line);
        EXPECT_EQ(response.status, 401) << line;
        EXPECT_EQ(response.header("x-should-retry"), "false");
        EXPECT_THAT(response.body, HasSubstr("invalid_api_key"));
        // The same but for the request's id.
        const std::string message = response.body.substr(response.body.find("\"error\""));
        if (expected.empty()) expected = message;
        EXPECT_EQ(message, expected);
    }
    EXPECT_EQ(post_with_key("authorization: bearer  " + world_.key_a() + "\r\n").status, 200);
    EXPECT_EQ(engine.requests().size(), 1U);
}

TEST_F(RefusalTest, RevokedAndExpiredKeysAreRefused) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 200);
    auto state = world_.snapshot({{ReplicaId("r0"), engine.address(), Epoch(7)}});
    state.keys[0].row->expires_at = clock_.wall_now();
    state.keys.pop_back();  // org_b's key is gone
    // Published last, so that its arrival shows that all of it arrived.
    state.models.pop_back();
    controlplane_->publish(state);
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    while (post(kUnaryBody).status == 200) ASSERT_LT(clock_.steady_now(), deadline);
    EXPECT_EQ(post(kUnaryBody).status, 401);
    EXPECT_EQ(post_with_key("authorization: Bearer " + world_.key_b() + "\r\n").status, 401);
}

TEST_F(RefusalTest, UnknownAndForeignModelsLookTheSame) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    const auto ask = [&](const std::string& model, const std::string& key) {
        test::TlsClient client = connect();
        const std::string body =
            R"({"model":")" + model + R"(","messages":[{"role":"user","content":"x"}]})";
        client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " +
                    key + "\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        return client.read_response();
    };
    EXPECT_EQ(ask("a/private", world_.key_a()).status, 200);
    const RawResponse foreign = ask("a/private", world_.key_b());
    const RawResponse unknown = ask("a/nothing", world_.key_b());
    EXPECT_EQ(foreign.status, 404);
    EXPECT_EQ(unknown.status, 404);
    EXPECT_THAT(foreign.body, HasSubstr("model_not_available"));
    EXPECT_EQ(foreign.header("content-length"), unknown.header("content-length"));
}

TEST_F(RefusalTest, BadRequestsNameTheirParameter) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    const RawResponse no_json = post("{");
    EXPECT_EQ(no_json.status, 400);
    const RawResponse bad_field =
        post(R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"temperature":9})");
    EXPECT_EQ(bad_field.status, 400);
    EXPECT_THAT(bad_field.body, HasSubstr(R"("param":"temperature")"));
    EXPECT_EQ(bad_field.header("x-should-retry"), "false");
    EXPECT_THAT(bad_field.body, HasSubstr(bad_field.header("x-request-id")));
    EXPECT_EQ(post(R"({"model":"tiny","prompt":"x"})", "/v1/completions").status, 200);
    EXPECT_EQ(engine.requests().size(), 1U);
}

TEST_F(RefusalTest, RoutesAndMethods) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(get("/").status, 404);
    EXPECT_EQ(post(kUnaryBody, "/v1/embeddings").status, 404);
    const RawResponse wrong_method = get(kChat);
    EXPECT_EQ(wrong_method.status, 405);
    EXPECT_EQ(wrong_method.header("allow"), "POST");
    EXPECT_EQ(get("/healthz").status, 200);
    EXPECT_EQ(get("/v1/models").status, 401);
    const std::string auth = "authorization: Bearer " + world_.key_b() + "\r\n";
    const RawResponse list = get("/v1/models", auth);
    EXPECT_THAT(list.body, testing::StartsWith("{\"object\":\"list\""));
    EXPECT_THAT(list.body, HasSubstr("\"tiny\""));
    EXPECT_THAT(list.body, testing::Not(HasSubstr("a/private")));
    EXPECT_THAT(get("/v1/models", auth + "user-agent: Together/Python 3.1\r\n").body,
                testing::StartsWith("[{"));
}

TEST_F(RefusalTest, BodiesOverTheBoundAndOfOtherTypes) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    const auto ask = [&](const std::string& lines, const std::string& body) {
        test::TlsClient client = connect();
        client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " +
                    world_.key_a() + "\r\n" + lines + "\r\n" + body);
        return client.read_response();
    };
    const RawResponse large = ask("content-length: 5000000\r\n", "{");
    EXPECT_EQ(large.status, 413);
    EXPECT_EQ(large.header("connection"), "close");
    EXPECT_EQ(ask("content-length: 2\r\ncontent-type: text/plain\r\n", "{}").status, 415);
    EXPECT_EQ(ask("content-length: 2\r\ncontent-encoding: gzip\r\n", "{}").status, 415);
    std::string chunks = "transfer-encoding: chunked\r\n";
    EXPECT_EQ(ask(chunks, "5\r\nhello!!").status, 400);
    std::string too_many;
    const std::string piece(64 * 1024, ' ');
    for (int i = 0; i < 65; ++i) too_many += "10000\r\n" + piece + "\r\n";
    EXPECT_EQ(ask(chunks, too_many).status, 413);
    const std::string body = kUnaryBody;
    std::string split;
    for (const char c : body) split += std::string("1;x=y\r\n") + c + "\r\n";
    split += "0\r\nt: v\r\n\r\n";
    EXPECT_EQ(ask(chunks, split).status, 200);
    EXPECT_EQ(engine.requests().back().body, body);
}

TEST_F(RefusalTest, BrokenAndOversizedHeads) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    const auto ask = [&](const std::string& text) {
        test::TlsClient client = connect();
        client.send(text);
        return client.read_response();
    };
    EXPECT_EQ(ask("NONSENSE\r\n\r\n").status, 400);
    EXPECT_EQ(ask("GET /healthz HTTP/1.1\r\n\r\n").status, 400);
    EXPECT_EQ(ask("GET /healthz HTTP/1.1\r\nhost: x\r\nx: " + std::string(20'000, 'y')).status,
              431);
    std::string many = "GET /healthz HTTP/1.1\r\nhost: x\r\n";
    for (std::size_t i = 0; i < limits::kMaxHeaderFields; ++i) many += "x: y\r\n";
    EXPECT_EQ(ask(many + "\r\n").status, 431);
}

TEST_F(RefusalTest, SlowRequestsTimeOut) {
    options_.times.head = std::chrono::milliseconds(60);
    options_.times.body = std::chrono::milliseconds(60);
    options_.times.idle = std::chrono::milliseconds(60);
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    test::TlsClient slow_head = connect();
    slow_head.send("POST /v1/chat");
    EXPECT_EQ(slow_head.read_response().status, 408);
    test::TlsClient slow_body = connect();
    const std::string text = post_text(kUnaryBody);
    slow_body.send(text.substr(0, text.size() - 1));
    EXPECT_EQ(slow_body.read_response().status, 408);
    test::TlsClient idle = connect();
    EXPECT_EQ(idle.read_to_end(), "");
}

TEST_F(RefusalTest, ExpectContinueIsAnswered) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    const std::string text = post_text(kUnaryBody);
    const std::size_t body_at = text.find("\r\n\r\n") + 4;
    test::TlsClient client = connect();
    client.send(text.substr(0, body_at - 2) + "expect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(text.substr(body_at));
    EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(RefusalTest, NoReplicaAndNoSnapshot) {
    controlplane_->stop();
    start_gateway();
    EXPECT_EQ(get("/healthz").status, 200);
    EXPECT_EQ(get("/readyz").status, 503);
    const RawResponse starting = post(kUnaryBody);
    EXPECT_EQ(starting.status, 503);
    EXPECT_EQ(starting.header("retry-after"), "1");
    controlplane_->start();
    publish({});
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    RawResponse empty_pool = post(kUnaryBody);
    while (empty_pool.body.find("replica") == std::string::npos) {
        ASSERT_LT(clock_.steady_now(), deadline);
        empty_pool = post(kUnaryBody);
    }
    EXPECT_EQ(empty_pool.status, 503);
    EXPECT_EQ(empty_pool.header("retry-after"), "1");
}

TEST_F(RefusalTest, EnginesRefusalIsForwardedAndBilledAsNothing) {
    const std::string overflow =
        R"({"error":{"message":"too long","code":"context_length_exceeded"}})";
    FakeEngine engine(engine_path(0), [&](const EngineRequest&, EngineConnection& connection) {
        connection.refuse(400, overflow);
    });
    publish({&engine});
    const RawResponse response = post(kStreamBody);
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(response.body, overflow);
    EXPECT_EQ(post(kUnaryBody).status, 400);
    EXPECT_EQ(engine.num_connections(), 1U);
    for (const auto& record : controlplane_->wait_for_records(2)) {
        EXPECT_EQ(record.outcome, controlplane::Outcome::kRefused);
        EXPECT_EQ(record.http_status, 400);
        EXPECT_EQ(record.usage, TokenUsage());
    }
}

TEST_F(RefusalTest, FullDiskRefusesBeforeDispatch) {
    auto is_full = std::make_shared<std::atomic<bool>>(false);
    options_.outbox_ops.write = [is_full](int fd, const void* bytes, std::size_t size) -> ssize_t {
        if (!*is_full) return ::write(fd, bytes, size);
        errno = ENOSPC;
        return -1;
    };
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 200);
    *is_full = true;
    EXPECT_EQ(post(kUnaryBody).status, 503);
    EXPECT_EQ(engine.requests().size(), 1U);
    *is_full = false;
    EXPECT_EQ(post(kUnaryBody).status, 200);
}

}  // namespace
}  // namespace turnpike::gateway
