// Settings of turnpike-controlplane: ops/docs/formats/settings.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/money.h"
#include "config/base/result.h"
#include "config/net/address.h"
#include "config/net/tls_files.h"
#include "config/schema/model_card.h"
#include "controlplane/api/endpoint.h"
#include "controlplane/plan/autoscale.h"
#include "controlplane/run/slurm_driver.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/retention.h"

namespace turnpike::controlplane {

// A name that clients may use, with the card whose price and description it shows.
struct NameSettings {
    std::string name;
    schema::ModelCard card;
};

struct ModelSettings {
    std::string card_file;  // absolute
    schema::ModelCard card;
    std::string model_dir;          // absolute
    int speculative_tokens = 0;     // of each replica: the engine's setting of that name
    double target_in_flight = 0.0;  // of the autoscaler, for this model; 0 = as for all
    std::vector<NameSettings> names;
};

struct PoolSettings {
    std::string model;  // a card's id or one of its names
    std::string hardware;
    Autoscaling autoscaling;
};

struct HardwareSettings {
    Hardware hardware;
    int num_slots = 0;  // replicas that fit
    std::string zone;   // an availability zone; empty: none
    std::optional<SlurmHardware> slurm;
};

enum class DriverKind { kProcess, kSystemd, kSlurm };

struct SlurmSettings {
    std::string job_prefix;
    net::TlsFiles tls;  // of the engines, as the nodes have them; absolute
};

struct ControlplaneSettings {
    std::string data_dir;
    net::NetAddress listen_internal;
    net::NetAddress listen_admin;
    std::optional<net::NetAddress> listen_operators;  // the admin API behind operator keys
    std::string operator_keys_file;
    std::optional<net::NetAddress> listen_metrics;  // GET /metrics
    std::string pepper_file;
    std::string cards_dir;
    std::string run_dir;
    std::string engine_binary;
    std::string handover_socket;              // absolute; empty: nobody takes over
    std::optional<net::TlsFiles> engine_tls;  // for replicas with tls: addresses; absolute
    DriverKind driver = DriverKind::kProcess;
    SlurmSettings slurm;  // of kSlurm
    std::string platform_organisation;
    NanoUsd overdraft;  // how far below zero a balance may go
    ScalePolicy autoscaling;
    EndpointQuota quota;
    RetentionPolicy retention;
    std::vector<ModelSettings> models;
    std::vector<PoolSettings> serverless;
    std::vector<HardwareSettings> hardware;

    // By card id or by any of its names; nullptr when there is none.
    const ModelSettings* find_model(std::string_view name) const;
    const HardwareSettings* find_hardware(std::string_view id) const;
};

// Reads the file and the model cards that it names. Relative paths are relative to the working
// directory and become absolute. Checks that every model, hardware and number makes sense.
Result<ControlplaneSettings> load_settings(const std::string& path);

// For --check-config: JSON in the form of the file, with every default filled in.
std::string write_settings(const ControlplaneSettings& settings);

}  // namespace turnpike::controlplane
