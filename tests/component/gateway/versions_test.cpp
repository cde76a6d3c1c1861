// A control plane or an engine whose protocol number is too far from the gateway's is refused, and
// a neighbour's is not.
#include <gmock/gmock.h>

#include <csignal>
#include <set>

#include "controlplane/api/protocol.h"
#include "engine/api/protocol.h"
#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using test::EngineConnection;
using test::EngineRequest;
using test::FakeEngine;

// Answers every request with one snapshot, and says a number.
class NumberedControlplane {
  public:
    NumberedControlplane(const std::string& path, std::string snapshot, int number, Log& log)
        : snapshot_(std::move(snapshot)), number_(number) {
        net::HttpServerOptions options;
        options.address.unix_path = path;
        options.drain_timeout = std::chrono::milliseconds(200);
        server_ =
            net::HttpServer::start(
                options,
                [this](const net::HttpRequest& request,
                       const std::shared_ptr<net::HttpReply>& reply) { answer(request, *reply); },
                log)
                .value();
    }

    ~NumberedControlplane() { server_->stop(); }

    std::size_t num_requests() const {
        const std::lock_guard lock(mutex_);
        return num_requests_;
    }

    // What requests said of themselves.
    std::set<std::string> numbers() const {
        const std::lock_guard lock(mutex_);
        return numbers_;
    }

  private:
    void answer(const net::HttpRequest& request, net::HttpReply& reply) {
        {
            const std::lock_guard lock(mutex_);
            ++num_requests_;
            numbers_.emplace(request.headers.get(kProtocolHeader));
        }
        net::HttpHeaders headers;
        headers.add(std::string(kProtocolHeader), std::to_string(number_));
        const bool is_snapshot = request.path() == "/internal/v1/snapshot";
        const bool is_leases = request.path() == "/internal/v1/leases";
        const char* const other =
            is_leases ? R"({"epoch":1,"lifetime_ms":60000,"share_ppm":1000000,"grants":[]})" : "{}";
        reply.respond({200, std::move(headers), is_snapshot ? snapshot_ : other});
    }

    const std::string snapshot_;
    const int number_;
    std::unique_ptr<net::HttpServer> server_;
    mutable std::mutex mutex_;
    std::size_t num_requests_ = 0;   // guarded by mutex_
    std::set<std::string> numbers_;  // guarded by mutex_
};

class VersionsTest : public GatewayTest {
  protected:
    VersionsTest() { std::signal(SIGPIPE, SIG_IGN); }

    std::unique_ptr<NumberedControlplane> controlplane(int number) {
        controlplane::Snapshot snapshot =
            world_.snapshot({{ReplicaId("r0"), "unix:" + engine_path(0), Epoch(7)}});
        snapshot.store_id = "s";
        snapshot.revision = 1;
        snapshot.is_full = true;
        return std::make_unique<NumberedControlplane>(world_.dir().file("cp.sock"),
                                                      write_snapshot(snapshot), number, log_);
    }
};

TEST_F(VersionsTest, OnlyANeighbouringControlPlaneIsBelieved) {
    controlplane_->stop();
    auto peer = controlplane(controlplane::kProtocol + 2);
    start_gateway();
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    while (peer->num_requests() < 8) ASSERT_LT(clock_.steady_now(), deadline);
    EXPECT_EQ(peer->numbers(), std::set{std::to_string(controlplane::kProtocol)});
    EXPECT_EQ(get("/readyz").status, 503);
    peer.reset();
    peer = controlplane(controlplane::kProtocol + 1);
    wait_for_ready(200);
}

TEST_F(VersionsTest, AnEngineIsToldAndMayRefuse) {
    FakeEngine engine(engine_path(0), [](const EngineRequest& request, EngineConnection& to) {
        EXPECT_EQ(request.header(kProtocolHeader), std::to_string(engine::kProtocol));
        to.refuse(409, R"({"error":{"message":"no","type":"x","param":null,"code":"conflict"}})");
    });
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 503);
    EXPECT_GT(engine.requests().size(), 0U);
}

}  // namespace
}  // namespace turnpike::gateway
