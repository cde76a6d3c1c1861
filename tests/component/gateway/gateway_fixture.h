// GatewayTest: the real gateway between a raw TLS client, scripted engines and a fake control
// plane, all in a temporary folder, with short time-outs.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/secret.h"
#include "gateway/edge/gateway.h"
#include "tests/support/fake_controlplane.h"
#include "tests/support/fake_engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tls_client.h"

namespace turnpike::gateway {

// Organisations, keys and models of a test, and the files of one gateway.
class GatewayWorld {
  public:
    GatewayWorld();

    // A snapshot with organisations org_a and org_b, one key each, the public model "tiny", and
    // "a/private" of org_a, both served by `replicas`.
    controlplane::Snapshot snapshot(std::vector<controlplane::ReplicaRow> replicas) const;
    // The same without a replica: requests wait for one.
    controlplane::Snapshot cold_snapshot() const;
    Settings settings() const;
    void write_settings_file(const std::string& path) const;

    const test::TempDir& dir() const { return dir_; }

    const std::string& key_a() const { return key_a_.reveal(); }

    const std::string& key_b() const { return key_b_.reveal(); }

  private:
    controlplane::KeyRow key_row(const std::string& org, const Secret& key) const;

    test::TempDir dir_;
    Secret pepper_;
    Secret key_a_;
    Secret key_b_;
};

class GatewayTest : public testing::Test {
  protected:
    // An engine that sends one event and, once it is cancelled, its last count: 9 in, 3 out.
    static void wait_to_be_cancelled(const test::EngineRequest& request,
                                     test::EngineConnection& connection);
    GatewayTest();
    ~GatewayTest() override;

    void start_gateway();
    // Publishes the engines as replicas "r0", "r1", ... with epoch 7 and waits until they serve.
    void publish(const std::vector<test::FakeEngine*>& engines);

    // No replica; a request that waits gets one.
    void publish_cold();

    test::TlsClient connect(int receive_buffer_bytes = 0);
    // One request on a connection of its own.
    test::RawResponse post(const std::string& body, const std::string& path = kChat);
    test::RawResponse get(const std::string& path, const std::string& extra_lines = "");
    // The text of a request by key A.
    std::string post_text(const std::string& body, const std::string& path = kChat) const;
    std::string get_text(const std::string& path, const std::string& extra_lines = "") const;
    std::string engine_path(int number) const;
    // Waits until /readyz answers `status`.
    void wait_for_ready(int status);

    static constexpr char kChat[] = "/v1/chat/completions";
    static constexpr char kUnaryBody[] =
        R"({"model":"tiny","messages":[{"role":"user","content":"hi"}]})";
    static constexpr char kStreamBody[] =
        R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"stream":true})";

    GatewayWorld world_;
    SystemClock clock_;
    Log log_;
    GatewayOptions options_;
    std::unique_ptr<test::FakeControlplane> controlplane_;
    std::unique_ptr<Gateway> gateway_;
};

}  // namespace turnpike::gateway
