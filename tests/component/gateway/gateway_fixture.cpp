#include "tests/component/gateway/gateway_fixture.h"

#include <cstdlib>
#include <fstream>
#include <utility>

#include "config/crypto/digest.h"
#include "config/crypto/identifiers.h"
#include "config/crypto/pepper.h"
#include "tests/support/test_certificate.h"

namespace turnpike::gateway {

using controlplane::KeyRow;
using controlplane::ModelRow;
using controlplane::ReplicaRow;
using controlplane::Snapshot;

namespace {

ModelRow model_row(const std::string& name) {
    ModelRow row;
    row.name = name;
    row.endpoint = EndpointId("endpoint-1");
    row.served_model = "turnpike/tiny-random";
    row.display_name = "Tiny";
    row.organization = "Turnpike";
    row.context_length = 8192;
    row.price.version = 3;
    row.price.input_nano_usd = NanoUsd(50);
    row.price.output_nano_usd = NanoUsd(100);
    return row;
}

template <class Row>
controlplane::Change<Row> published(const std::string& id, Row row) {
    return controlplane::Change<Row>{id, std::move(row)};
}

}  // namespace

GatewayWorld::GatewayWorld() : key_a_(crypto::new_api_key()), key_b_(crypto::new_api_key()) {
    CHECK(crypto::create_pepper_file(dir_.file("peppers")).has_value());
    pepper_ = crypto::load_peppers(dir_.file("peppers")).value().by_version.at(1);
    test::write_test_certificate(dir_.file("server.crt"), dir_.file("server.key"));
}

KeyRow GatewayWorld::key_row(const std::string& org, const Secret& key) const {
    KeyRow row;
    row.id = KeyId("key_of_" + org);
    row.org = OrgId(org);
    row.mac_hex = crypto::to_hex(crypto::HmacSha256(pepper_).compute(key.reveal()));
    row.redacted = crypto::redact_api_key(key.reveal());
    return row;
}

Snapshot GatewayWorld::snapshot(std::vector<ReplicaRow> replicas) const {
    Snapshot state;
    for (const std::string org : {"org_a", "org_b"}) {
        controlplane::OrganisationRow row{OrgId(org), org, "salt_of_" + org};
        state.organisations.push_back(published(org, std::move(row)));
    }
    state.keys.push_back(published("key_of_org_a", key_row("org_a", key_a_)));
    state.keys.push_back(published("key_of_org_b", key_row("org_b", key_b_)));
    state.models.push_back(published("tiny", model_row("tiny")));
    ModelRow own = model_row("a/private");
    own.owner = OrgId("org_a");
    state.models.push_back(published("a/private", std::move(own)));
    controlplane::EndpointRow endpoint{EndpointId("endpoint-1"), std::move(replicas), false};
    state.endpoints.push_back(published("endpoint-1", std::move(endpoint)));
    return state;
}

Snapshot GatewayWorld::cold_snapshot() const {
    Snapshot state = snapshot({});
    state.endpoints.front().row->wakes = true;
    return state;
}

Settings GatewayWorld::settings() const {
    Settings settings;
    settings.listen = {"tcp:127.0.0.1:0"};
    settings.tls_certificate = dir_.file("server.crt");
    settings.tls_key = dir_.file("server.key");
    settings.controlplane = "unix:" + dir_.file("cp.sock");
    settings.pepper_file = dir_.file("peppers");
    settings.outbox_dir = dir_.file("outbox");
    settings.snapshot_file = dir_.file("snapshot.json");
    settings.num_threads = 1;
    settings.drain_time = std::chrono::seconds(10);
    return settings;
}

void GatewayWorld::write_settings_file(const std::string& path) const {
    std::ofstream(path) << write_settings(settings());
}

GatewayTest::GatewayTest()
    : log_(clock_,
           "gateway",
           std::getenv("TURNPIKE_TEST_LOG") != nullptr ? LogLevel::kDebug : LogLevel::kError),
      controlplane_(std::make_unique<test::FakeControlplane>(world_.dir().file("cp.sock"))) {
    options_.settings = world_.settings();
    options_.times.sweep = std::chrono::milliseconds(20);
    options_.resolver.confirm_delay = std::chrono::milliseconds(20);
    options_.resolver.first_retry = std::chrono::milliseconds(10);
    options_.resolver.last_retry = std::chrono::milliseconds(50);
}

GatewayTest::~GatewayTest() {
    gateway_.reset();
    controlplane_.reset();
}

void GatewayTest::start_gateway() {
    auto started = Gateway::start(options_, clock_, log_);
    ASSERT_TRUE(started.has_value()) << started.error().message;
    gateway_ = std::move(*started);
}

std::string GatewayTest::engine_path(int number) const {
    return world_.dir().file("e" + std::to_string(number) + ".sock");
}

void GatewayTest::wait_to_be_cancelled(const test::EngineRequest&,
                                       test::EngineConnection& connection) {
    connection.begin();
    connection.meter({9, 0, 1, 0});
    connection.event("{}");
    EXPECT_TRUE(connection.wait_for_fin());
    connection.meter({9, 0, 3, 0});
    connection.end();
    connection.close();
}

void GatewayTest::publish(const std::vector<test::FakeEngine*>& engines) {
    std::vector<ReplicaRow> replicas;
    for (const test::FakeEngine* engine : engines) {
        const std::string id = "r" + std::to_string(replicas.size());
        replicas.push_back(ReplicaRow{ReplicaId(id), engine->address(), Epoch(7)});
    }
    controlplane_->publish(world_.snapshot(std::move(replicas)));
    if (gateway_ == nullptr) start_gateway();
    // An earlier snapshot may have been ready as well, with engines that are gone.
    ASSERT_TRUE(controlplane_->wait_until_known());
    wait_for_ready(engines.empty() ? 503 : 200);
}

void GatewayTest::publish_cold() {
    controlplane_->publish(world_.cold_snapshot());
    if (gateway_ == nullptr) start_gateway();
    // Known once the model is no longer unknown to it.
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    const std::string lines = "authorization: Bearer " + world_.key_a() + "\r\n";
    while (get("/v1/models", lines).body.find("tiny") == std::string::npos)
        ASSERT_LT(clock_.steady_now(), deadline);
}

void GatewayTest::wait_for_ready(int status) {
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    while (get("/readyz").status != status) ASSERT_LT(clock_.steady_now(), deadline);
}

test::TlsClient GatewayTest::connect(int receive_buffer_bytes) {
    return test::TlsClient(gateway_->addresses().front().port, receive_buffer_bytes);
}

std::string GatewayTest::post_text(const std::string& body, const std::string& path) const {
    return "POST " + path + " HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + world_.key_a() +
           "\r\ncontent-type: application/json\r\ncontent-length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

std::string GatewayTest::get_text(const std::string& path, const std::string& extra_lines) const {
    return "GET " + path + " HTTP/1.1\r\nhost: x\r\n" + extra_lines + "\r\n";
}

test::RawResponse GatewayTest::post(const std::string& body, const std::string& path) {
    test::TlsClient client = connect();
    client.send(post_text(body, path));
    return client.read_response();
}

test::RawResponse GatewayTest::get(const std::string& path, const std::string& extra_lines) {
    test::TlsClient client = connect();
    client.send(get_text(path, extra_lines));
    return client.read_response();
}

}  // namespace turnpike::gateway
