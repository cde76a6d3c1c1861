// How things stand in the databases, and what they count as they write.
#include "controlplane/store/store_gauges.h"

#include "controlplane/store/leases.h"
#include "controlplane/store/replicas.h"
#include "controlplane/store/sqlite.h"
#include "migrations/migrations.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class StoreGaugesTest : public StoreFixture {
  protected:
    StoreGaugesTest() : org_(make_org("acme").id) {}

    StoreGauges gauges() {
        auto found = read_gauges(*store_, now() - std::chrono::hours(25));
        EXPECT_TRUE(found.has_value()) << found.error().message;
        return found ? *found : StoreGauges();
    }

    void see_gateway(const std::string& id, bool is_leaving = false) {
        LeaseRequest request;
        request.gateway = id;
        request.is_leaving = is_leaving;
        ASSERT_TRUE(grant_leases(*store_, request, LeaseTerms(), now()).has_value());
    }

    void advance(std::chrono::microseconds time) { clock_.wall_us += time.count(); }

    OrgId org_;
};

TEST_F(StoreGaugesTest, CountReplicasAndEndpointsByState) {
    const Endpoint endpoint = make_endpoint(org_, "acme/m-1");
    make_endpoint(org_, "acme/m-2");
    EndpointChange stopped;
    stopped.desired = DesiredState::kStopped;
    const Endpoint third = make_endpoint(org_, "acme/m-3");
    ASSERT_TRUE(update_endpoint(*store_, third.id, stopped, "test", now()).has_value());
    const ReplicaStart start{ReplicaId("r0"), endpoint.id, 0, 1, "unix:/none"};
    ASSERT_TRUE(begin_replica_start(*store_, start, now()).has_value());
    const StoreGauges found = gauges();
    EXPECT_EQ(found.endpoints.at(EndpointState::kPending), 3);
    EXPECT_EQ(found.replicas.at(ReplicaState::kPending), 1);
    EXPECT_EQ(found.replicas.size(), 1U);
    EXPECT_EQ(found.num_wanted_replicas, 2);
    EXPECT_EQ(found.schema_version, migrations::control().back().number);
}

TEST_F(StoreGaugesTest, GatewaysThatLeftOrWereGivenUpDoNotCount) {
    EXPECT_EQ(gauges().num_gateways, 0);
    EXPECT_FALSE(gauges().gateway_seen_last_at.has_value());
    see_gateway("long-gone");
    advance(std::chrono::hours(26));
    see_gateway("left");
    see_gateway("left", true);
    see_gateway("first");
    const WallTime first = now();
    advance(std::chrono::minutes(5));
    see_gateway("latest");
    const StoreGauges found = gauges();
    EXPECT_EQ(found.num_gateways, 2);
    EXPECT_EQ(found.gateway_seen_first_at, first);
    EXPECT_EQ(found.gateway_seen_last_at, now());
}

TEST_F(StoreGaugesTest, UsageIsCountedAsItIsTakenRepeatedAndKeptAside) {
    const Endpoint endpoint = make_endpoint(org_, "acme/m-1");
    const auto version = make_name(endpoint.id, "acme/m-1", price_of(10, 20)).price.version;
    UsageBatch batch{"outbox", 0, {make_record(org_, version, 3, 4), make_record(org_, 77, 1, 1)}};
    ASSERT_TRUE(store_->ingest_and_wait(batch).has_value());
    ASSERT_TRUE(store_->ingest_and_wait(batch).has_value());
    ASSERT_TRUE(store_->wait_until_posted().has_value());
    const StoreMetrics& metrics = store_->metrics();
    EXPECT_EQ(metrics.usage_ingested.value(), 1);
    EXPECT_EQ(metrics.usage_repeated.value(), 1);
    EXPECT_EQ(metrics.usage_quarantined.value(), 2);
    EXPECT_EQ(metrics.usage_posted.value(), 1);
    EXPECT_EQ(metrics.usage_failures.value(), 0);
    const StoreGauges found = gauges();
    EXPECT_EQ(found.num_quarantined, 1);
    EXPECT_EQ(found.num_unposted, 0);
    EXPECT_FALSE(found.oldest_unposted_at.has_value());
    MetricsText out("");
    write_store_metrics(out, metrics);
    EXPECT_NE(out.text().find("usage_records_total{outcome=\"repeated\"} 1\n"), std::string::npos);
    EXPECT_NE(out.text().find("usage_write_seconds_count 2\n"), std::string::npos);
    // 3 tokens at 10 and 4 at 20 nano-dollars, once.
    EXPECT_NE(out.text().find("usage_usd_total{outcome=\"billed\"} 1.1e-07\n"), std::string::npos)
        << out.text();
}

TEST_F(StoreGaugesTest, EventsBeyondTheWatermarkAreTheLag) {
    const Endpoint endpoint = make_endpoint(org_, "acme/m-1");
    const auto version = make_name(endpoint.id, "acme/m-1", price_of(10, 20)).price.version;
    const WallTime closed_at = now();
    for (int i = 0; i < 3; ++i) {
        UsageBatch batch{"outbox", i, {make_record(org_, version, 3, 4)}};
        ASSERT_TRUE(store_->ingest_and_wait(batch).has_value());
        advance(std::chrono::seconds(10));
    }
    ASSERT_TRUE(store_->wait_until_posted().has_value());
    // As after a crash between the usage file's commit and the ledger's.
    ASSERT_TRUE(store_
                    ->write_quietly([](Database& control) {
                        return control.prepare("UPDATE posted SET sequence = 1").run();
                    })
                    .has_value());
    const StoreGauges found = gauges();
    EXPECT_EQ(found.num_unposted, 2);
    EXPECT_EQ(found.oldest_unposted_at, closed_at + std::chrono::seconds(10));
}

TEST_F(StoreGaugesTest, SizesAreThoseOfTheFiles) {
    const auto sizes = read_database_sizes(*store_);
    ASSERT_TRUE(sizes.has_value());
    EXPECT_GT(sizes->control_bytes, 4096);
    EXPECT_EQ(sizes->usage_bytes, 0);
    UsageBatch batch{"outbox", 0, {make_record(org_, 0, 0, 0)}};
    ASSERT_TRUE(store_->ingest_and_wait(batch).has_value());
    EXPECT_GT(read_database_sizes(*store_)->usage_bytes, 4096);
}

TEST_F(StoreGaugesTest, EveryCommitIsTimed) {
    const auto count = [this] {
        std::int64_t sum = 0;
        const Histogram& histogram = store_->metrics().write_s;
        for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) sum += histogram.count(i);
        return sum;
    };
    const std::int64_t before = count();
    make_org("other");
    EXPECT_EQ(count(), before + 1);
    const Status refused =
        store_->write([](Database&) -> Status { return invalid_argument("no"); });
    EXPECT_FALSE(refused.has_value());
    EXPECT_EQ(count(), before + 1);
}

}  // namespace
}  // namespace turnpike::controlplane
