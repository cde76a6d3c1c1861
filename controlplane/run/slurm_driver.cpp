#include "controlplane/run/slurm_driver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "config/base/clock.h"
#include "config/base/failpoint.h"
#include "controlplane/run/command.h"
#include "controlplane/run/spawn.h"

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;

constexpr auto kCommandTimeout = 30s;
// A controller lists what it has acknowledged within a few milliseconds.
constexpr auto kListedTimeout = 5s;
constexpr auto kListedPeriod = 20ms;

Status run(const std::vector<std::string>& arguments) {
    const auto output = run_command(arguments, kCommandTimeout);
    if (!output) return output.error();
    return {};
}

// For sh, whatever the path holds.
std::string quoted(const std::string& text) {
    std::string result = "'";
    for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return result + "'";
}

Result<std::string> resolve(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (failed != 0)
        return Error{ErrorCode::kUnavailable,
                     "cannot resolve the node's address " + host + ": " + ::gai_strerror(failed),
                     {}};
    std::array<char, NI_MAXHOST> text{};
    const int unnamed = ::getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(),
                                      nullptr, 0, NI_NUMERICHOST);
    ::freeaddrinfo(found);
    if (unnamed != 0)
        return Error{ErrorCode::kUnavailable, "the node " + host + " has no numeric address", {}};
    const std::string address = text.data();
    return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

// The value of `key` in a line of "key=value key=value" as scontrol prints it; empty: none.
std::string field_of(const std::string& line, const std::string& key) {
    const std::size_t begin = line.find(key + "=");
    if (begin == std::string::npos) return {};
    const std::size_t from = begin + key.size() + 1;
    return line.substr(from, line.find_first_of(" \n", from) - from);
}

}  // namespace

Result<std::unique_ptr<SlurmDriver>> SlurmDriver::open(SlurmDriverOptions options) {
    if (!options.run_dir.starts_with('/') || !options.engine_binary.starts_with('/'))
        return invalid_argument("run_dir and engine_binary must be absolute paths; found '" +
                                options.run_dir + "' and '" + options.engine_binary + "'");
    const auto ids = ReplicaDir::list(options.run_dir);
    RETURN_IF_ERROR(ids);
    std::unique_ptr<SlurmDriver> driver(new SlurmDriver(std::move(options)));
    const auto jobs = driver->jobs();
    if (!jobs)
        return Error{ErrorCode::kUnavailable, "Slurm does not answer: " + jobs.error().message, {}};
    return driver;
}

Result<std::string> SlurmDriver::address_of(const ReplicaId&) const {
    return std::string();
}

Result<std::vector<SlurmJob>> SlurmDriver::jobs() const {
    const auto output =
        run_command({"squeue", "--me", "--states=all", "--noheader", "--Format=" + jobs_format()},
                    kCommandTimeout);
    RETURN_IF_ERROR(output);
    return parse_jobs(*output, options_.job_prefix);
}

Status SlurmDriver::write_script(const ReplicaDir& dir, const SlurmHardware& hardware) const {
    const std::string gang = "srun --kill-on-bad-exit=1 --ntasks-per-node=1 ";
    // In place of the shell, so that signals reach the engine.
    const std::string script =
        "#!/bin/sh\nexec " + (hardware.num_nodes > 1 ? gang : std::string()) +
        quoted(options_.engine_binary) + " serve --config " + quoted(dir.settings_file()) + "\n";
    return write_whole_file(dir.path() + "/job.sh", script);
}

Status SlurmDriver::submit(const ReplicaSpec& spec,
                           const ReplicaDir& dir,
                           const SlurmHardware& hardware) {
    std::vector<std::string> arguments{
        "sbatch",
        "--parsable",
        "--job-name=" + options_.job_prefix + "-" + spec.id.value(),
        "--comment=" + job_comment(options_.job_prefix, spec.id, spec.epoch),
        "--no-requeue",
        "--dependency=singleton",  // never beside another of its name, whatever we believe
        "--nodes=" + std::to_string(hardware.num_nodes),
        "--chdir=/",
        "--open-mode=append",
        "--output=" + dir.log_file(),
        "--export=NIL"};
    if (!hardware.gres.empty()) arguments.push_back("--gres=" + hardware.gres);
    arguments.insert(arguments.end(), hardware.arguments.begin(), hardware.arguments.end());
    arguments.push_back(dir.path() + "/job.sh");
    return run(arguments);
}

Status SlurmDriver::wait_until_listed(const ReplicaSpec& spec) const {
    const SystemClock clock;
    const SteadyTime deadline = clock.steady_now() + kListedTimeout;
    while (true) {
        const auto listed = jobs();
        RETURN_IF_ERROR(listed);
        for (const SlurmJob& job : *listed) {
            if (job.replica == spec.id && job.epoch == spec.epoch) return {};
        }
        if (clock.steady_now() >= deadline)
            return Error{ErrorCode::kUnavailable,
                         "sbatch took the job of " + spec.id.value() + ", and squeue has none",
                         {}};
        std::this_thread::sleep_for(kListedPeriod);
    }
}

Status SlurmDriver::start(const ReplicaSpec& spec) {
    const auto hardware = options_.hardware.find(spec.hardware);
    if (hardware == options_.hardware.end())
        return invalid_argument("hardware '" + spec.hardware + "' has no slurm section",
                                "hardware");
    const std::lock_guard lock(mutex_);
    const auto listed = jobs();
    RETURN_IF_ERROR(listed);
    for (const SlurmJob& job : *listed) {
        if (job.replica != spec.id || !is_live(job)) continue;
        if (job.epoch == spec.epoch) return {};
        return Error{ErrorCode::kConflict,
                     "replica " + spec.id.value() + " still has job " + std::to_string(job.id) +
                         " with epoch " + std::to_string(job.epoch.value()),
                     {}};
    }
    const ReplicaDir dir(options_.run_dir, spec.id);
    RETURN_IF_ERROR(dir.write_settings(spec, {"tls:0.0.0.0:0", options_.tls}));
    RETURN_IF_ERROR(write_script(dir, hardware->second));
    RETURN_IF_ERROR(submit(spec, dir, hardware->second));
    pass_failpoint(Failpoint::kReplicaStarted);
    return wait_until_listed(spec);
}

// SIGTERM to a running engine lets it finish; a job that still waits is cancelled either way.
Status SlurmDriver::stop(const ReplicaId& id, StopHow how) {
    const std::lock_guard lock(mutex_);
    const auto listed = jobs();
    RETURN_IF_ERROR(listed);
    for (const SlurmJob& job : *listed) {
        if (job.replica != id || !is_live(job)) continue;
        std::vector<std::string> arguments{"scancel"};
        if (job.state == "RUNNING") {
            arguments.emplace_back("--full");
            arguments.emplace_back(how == StopHow::kDrain ? "--signal=TERM" : "--signal=KILL");
        }
        arguments.push_back(std::to_string(job.id));
        RETURN_IF_ERROR(run(arguments));
    }
    return {};
}

// A node keeps its address for as long as it is in the cluster's configuration.
Result<std::string> SlurmDriver::host_address(const std::string& node) {
    const auto known = host_addresses_.find(node);
    if (known != host_addresses_.end()) return known->second;
    const auto output =
        run_command({"scontrol", "show", "node", node, "--oneliner"}, kCommandTimeout);
    RETURN_IF_ERROR(output);
    const std::string host = field_of(*output, "NodeAddr");
    auto address = resolve(host.empty() ? node : host);
    RETURN_IF_ERROR(address);
    host_addresses_[node] = *address;
    return address;
}

// Empty while it cannot be told.
std::string SlurmDriver::address_on(const std::string& node, const ReplicaDir& dir) {
    const std::string listened = dir.address();
    const std::size_t colon = listened.rfind(':');
    if (node.empty() || colon == std::string::npos) return {};
    const Result<std::string> host = host_address(node);
    return host ? "tls:" + *host + listened.substr(colon) : std::string();
}

Result<std::vector<ObservedProcess>> SlurmDriver::list() {
    const std::lock_guard lock(mutex_);
    const auto listed = jobs();
    RETURN_IF_ERROR(listed);
    std::vector<ObservedProcess> processes = processes_of(*listed);
    for (ObservedProcess& process : processes) {
        const ReplicaDir dir(options_.run_dir, process.id);
        if (!process.is_running) {
            process.last_log = dir.last_log();
            continue;
        }
        const auto job = std::find_if(listed->begin(), listed->end(), [&](const SlurmJob& one) {
            return one.replica == process.id && is_live(one);
        });
        // The settings are those of the last start, which is this one's or nobody's.
        if (process.phase == Phase::kRunning && dir.epoch() == process.epoch)
            process.address = address_on(job->batch_host, dir);
    }
    return processes;
}

}  // namespace turnpike::controlplane
