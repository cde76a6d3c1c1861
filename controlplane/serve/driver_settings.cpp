#include "controlplane/serve/driver_settings.h"

#include <array>
#include <filesystem>
#include <utility>

#include "controlplane/run/process_driver.h"
#include "controlplane/run/systemd_driver.h"

namespace turnpike::controlplane {
namespace {

constexpr std::array<std::pair<DriverKind, std::string_view>, 3> kNames{
    {{DriverKind::kProcess, "process"},
     {DriverKind::kSystemd, "systemd"},
     {DriverKind::kSlurm, "slurm"}}};

template <class T>
Result<std::unique_ptr<Driver>> as_driver(Result<std::unique_ptr<T>> opened) {
    if (!opened) return opened.error();
    return std::unique_ptr<Driver>(std::move(*opened));
}

// Replicas on other hosts are reached over TLS alone, by us and by gateways.
Status check_slurm(const ControlplaneSettings& settings) {
    const net::TlsFiles& tls = settings.slurm.tls;
    if (tls.certificate.empty() || tls.key.empty() || tls.ca.empty())
        return invalid_argument(
            "slurm.tls: expected certificate, key and client_ca, the engines' files on the nodes",
            "slurm.tls");
    if (!settings.engine_tls)
        return invalid_argument("driver \"slurm\": expected engine_tls, to ask the engines",
                                "engine_tls");
    const std::string& prefix = settings.slurm.job_prefix;
    if (prefix.empty() || prefix.size() > 32 || prefix.find_first_of(": ,") != std::string::npos)
        return invalid_argument(
            "slurm.job_prefix: expected 1 to 32 characters without ':', ',' "
            "and spaces, found '" +
                prefix + "'",
            "slurm.job_prefix");
    for (const HardwareSettings& row : settings.hardware) {
        const std::string name = "hardware '" + row.hardware.id + "'";
        if (!row.slurm)
            return invalid_argument(name + ": expected a slurm section, as the driver is \"slurm\"",
                                    "hardware.slurm");
        if (row.slurm->num_nodes < 1 || row.slurm->num_nodes > 64)
            return invalid_argument(name + ": expected 1 to 64 nodes", "hardware.slurm.nodes");
    }
    return {};
}

}  // namespace

std::string absolute_path(const std::string& path) {
    if (path.empty()) return path;
    std::error_code failed;  // only when there is no working directory; then the path stays
    const std::filesystem::path whole = std::filesystem::absolute(path, failed);
    return failed ? path : whole.lexically_normal().string();
}

std::string_view to_string(DriverKind kind) {
    for (const auto& [one, name] : kNames) {
        if (one == kind) return name;
    }
    return "process";
}

Result<DriverKind> parse_driver(std::string_view text) {
    for (const auto& [kind, name] : kNames) {
        if (name == text) return kind;
    }
    return invalid_argument(
        "driver: expected \"process\", \"systemd\" or \"slurm\", found '" + std::string(text) + "'",
        "driver");
}

SlurmSettings read_slurm(schema::JsonSettings section) {
    SlurmSettings slurm;
    slurm.job_prefix = section.text("job_prefix", "turnpike");
    schema::JsonSettings tls = section.section("tls");
    slurm.tls.certificate = absolute_path(tls.text("certificate", ""));
    slurm.tls.key = absolute_path(tls.text("key", ""));
    slurm.tls.ca = absolute_path(tls.text("client_ca", ""));
    return slurm;
}

SlurmHardware read_slurm_hardware(schema::JsonSettings section) {
    SlurmHardware hardware;
    hardware.gres = section.text("gres", "");
    const std::int64_t num_nodes = section.integer("nodes", 1);
    hardware.num_nodes = num_nodes < 1 || num_nodes > 64 ? 0 : static_cast<int>(num_nodes);
    hardware.arguments = section.texts("arguments");
    return hardware;
}

Status check_driver(const ControlplaneSettings& settings) {
    if (settings.driver == DriverKind::kSlurm) return check_slurm(settings);
    for (const HardwareSettings& row : settings.hardware) {
        if (row.slurm)
            return invalid_argument("hardware '" + row.hardware.id +
                                        "': a slurm section, and the driver is \"" +
                                        std::string(to_string(settings.driver)) + "\"",
                                    "hardware.slurm");
    }
    return {};
}

Result<std::unique_ptr<Driver>> open_driver(const ControlplaneSettings& settings,
                                            std::function<void()> on_exit) {
    switch (settings.driver) {
        case DriverKind::kProcess:
            return as_driver(ProcessDriver::open({settings.run_dir, settings.engine_binary},
                                                 std::move(on_exit)));
        case DriverKind::kSystemd: {
            SystemdDriverOptions options;
            options.run_dir = settings.run_dir;
            return as_driver(SystemdDriver::open(std::move(options)));
        }
        case DriverKind::kSlurm: {
            SlurmDriverOptions options{settings.run_dir,
                                       settings.engine_binary,
                                       settings.slurm.job_prefix,
                                       settings.slurm.tls,
                                       {}};
            for (const HardwareSettings& row : settings.hardware)
                options.hardware[row.hardware.id] = *row.slurm;
            return as_driver(SlurmDriver::open(std::move(options)));
        }
    }
    return invalid_argument("no such driver", "driver");
}

}  // namespace turnpike::controlplane
