// The settings of turnpike-gateway; see ops/docs/formats/settings.md.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "config/base/limits.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "config/net/tls_files.h"
#include "controlplane/api/limits.h"

namespace turnpike::gateway {

// What "the usage record is written" means before a client gets its last bytes.
enum class Durability {
    kProcess,  // in the kernel: survives kill -9 of the gateway; on the disk within 5 ms
    kPower,    // on the disk
};

struct Settings {
    std::vector<std::string> listen;  // "tcp:0.0.0.0:8443"
    std::string tls_certificate;
    std::string tls_key;
    std::optional<net::TlsFiles> upstream_tls;  // for replicas with tls: addresses
    std::string controlplane;                   // "unix:..."
    std::string pepper_file;
    std::string outbox_dir;
    std::string snapshot_file;
    std::string metrics_listen;   // empty: no metrics
    std::string handover_socket;  // path; empty: nobody takes over
    int num_threads = 0;          // 0 = all cores
    std::chrono::seconds drain_time{30};
    Durability durability = Durability::kProcess;
    // Of each organisation that an operator has set no limits for.
    controlplane::Limits default_limits{6'000'000, 10'000'000'000, 100'000, {}};
    // What an organisation may spend before the control plane has answered in this run.
    NanoUsd unleased{1'000'000'000};

    Status validate() const;
};

Result<Settings> load_settings(const std::string& path);
// The effective settings as JSON, in the form that load_settings() reads.
std::string write_settings(const Settings& settings);

// Time-outs, in one place so that tests can be quick.
struct EdgeTimes {
    std::chrono::milliseconds handshake = limits::kHandshakeTimeout;
    std::chrono::milliseconds head = limits::kHeadTimeout;
    std::chrono::milliseconds body = limits::kBodyTimeout;
    std::chrono::milliseconds idle = limits::kIdleTimeout;
    std::chrono::milliseconds request = limits::kRequestTimeout;
    std::chrono::milliseconds connect = std::chrono::seconds(5);
    std::chrono::milliseconds client_stall = limits::kClientStallTimeout;
    std::chrono::milliseconds cancel = limits::kCancelTimeout;
    // For a replica of an endpoint that has scaled to none.
    std::chrono::milliseconds cold_stream = std::chrono::minutes(15);
    std::chrono::milliseconds cold_unary = std::chrono::minutes(1);
    std::chrono::milliseconds sweep = std::chrono::seconds(1);
    // After a handover, for requests on connections that the old process has.
    std::chrono::milliseconds handed_over = std::chrono::seconds(5);
};

}  // namespace turnpike::gateway
