#include "controlplane/run/systemd_driver.h"

#include <chrono>
#include <cstdlib>
#include <map>
#include <string_view>
#include <utility>

#include "config/base/failpoint.h"
#include "controlplane/run/command.h"

namespace turnpike::controlplane {
namespace {

constexpr auto kCommandTimeout = std::chrono::seconds(30);
constexpr std::string_view kUnitPrefix = "turnpike-engine@";
constexpr std::string_view kUnitSuffix = ".service";
constexpr const char* kProperties =
    "--property=Id,ActiveState,MainPID,Result,ExecMainCode,ExecMainStatus";

std::string unit_of(const ReplicaId& id) {
    return std::string(kUnitPrefix) + id.value() + std::string(kUnitSuffix);
}

void set_property(SystemdUnit& unit, std::string_view name, std::string_view value) {
    const std::string text(value);
    if (name == "Id" && value.starts_with(kUnitPrefix) && value.ends_with(kUnitSuffix))
        unit.replica = ReplicaId(
            text.substr(kUnitPrefix.size(), text.size() - kUnitPrefix.size() - kUnitSuffix.size()));
    if (name == "ActiveState") unit.active_state = text;
    if (name == "MainPID") unit.pid = std::strtoll(text.c_str(), nullptr, 10);
    if (name == "Result") unit.result = text;
    if (name == "ExecMainCode") unit.exit_code = text;
    if (name == "ExecMainStatus") unit.exit_status = text;
}

// "exit status 7", "signal 9".
std::string describe_exit(const SystemdUnit& unit) {
    const bool is_signal = unit.exit_code == "2" || unit.exit_code == "3";
    return (is_signal ? "signal " : "exit status ") + unit.exit_status;
}

}  // namespace

std::vector<SystemdUnit> parse_units(const std::string& text) {
    std::vector<SystemdUnit> units;
    SystemdUnit unit;
    const auto end_block = [&] {
        if (!unit.replica.value().empty()) units.push_back(std::move(unit));
        unit = SystemdUnit();
    };
    std::string_view left = text;
    while (!left.empty()) {
        const std::string_view line = left.substr(0, left.find('\n'));
        left.remove_prefix(std::min(line.size() + 1, left.size()));
        const std::size_t equals = line.find('=');
        if (line.empty()) end_block();
        if (equals != std::string_view::npos)
            set_property(unit, line.substr(0, equals), line.substr(equals + 1));
    }
    end_block();
    return units;
}

bool is_live(const SystemdUnit& unit) {
    return unit.active_state != "inactive" && unit.active_state != "failed";
}

std::string exit_reason(const SystemdUnit& unit) {
    if (unit.result == "watchdog") return "no progress for too long (watchdog)";
    if (unit.result == "oom-kill") return "out of memory";
    if (unit.result == "timeout") return "did not end in time";
    if (unit.result == "start-limit-hit") return "started too often";
    if (unit.exit_code.empty() || unit.exit_code == "0") return "it ended, or its host did";
    return describe_exit(unit);
}

Result<std::unique_ptr<SystemdDriver>> SystemdDriver::open(SystemdDriverOptions options) {
    if (!options.run_dir.starts_with('/'))
        return invalid_argument("run_dir must be an absolute path; found '" + options.run_dir + "'",
                                "run_dir");
    const auto ids = ReplicaDir::list(options.run_dir);
    RETURN_IF_ERROR(ids);
    std::unique_ptr<SystemdDriver> driver(new SystemdDriver(std::move(options)));
    const auto units = driver->units();
    if (!units)
        return Error{
            ErrorCode::kUnavailable, "systemd does not answer: " + units.error().message, {}};
    return driver;
}

Result<std::vector<SystemdUnit>> SystemdDriver::units() const {
    const auto output = run_command({options_.systemctl, "show", kProperties, "--",
                                     std::string(kUnitPrefix) + "*" + std::string(kUnitSuffix)},
                                    kCommandTimeout);
    RETURN_IF_ERROR(output);
    return parse_units(*output);
}

Result<std::string> SystemdDriver::address_of(const ReplicaId& id) const {
    return ReplicaDir(options_.run_dir, id).socket_address();
}

Status SystemdDriver::start(const ReplicaSpec& spec) {
    const ReplicaDir dir(options_.run_dir, spec.id);
    const Result<std::string> address = dir.socket_address();
    RETURN_IF_ERROR(address);
    const std::lock_guard lock(mutex_);
    const auto listed = units();
    RETURN_IF_ERROR(listed);
    const std::string unit = unit_of(spec.id);
    for (const SystemdUnit& one : *listed) {
        if (one.replica != spec.id || !is_live(one)) continue;
        // Settings are written while no unit lives, so they are those of the one that does.
        if (dir.epoch() == spec.epoch) return {};
        return Error{ErrorCode::kConflict,
                     unit + " still runs with epoch " + std::to_string(dir.epoch().value()),
                     {}};
    }
    RETURN_IF_ERROR(dir.write_settings(spec, {*address, {}}));
    // A failed unit counts its starts; we have a backoff of our own.
    const auto reset =
        run_command({options_.systemctl, "reset-failed", "--", unit}, kCommandTimeout);
    if (!reset && reset.error().code == ErrorCode::kTimeout) return reset.error();
    const auto started =
        run_command({options_.systemctl, "start", "--no-block", "--", unit}, kCommandTimeout);
    RETURN_IF_ERROR(started);
    pass_failpoint(Failpoint::kReplicaStarted);
    return {};
}

// `stop` is SIGTERM with the unit's TimeoutStopSec behind it.
Status SystemdDriver::stop(const ReplicaId& id, StopHow how) {
    const std::lock_guard lock(mutex_);
    const auto listed = units();
    RETURN_IF_ERROR(listed);
    for (const SystemdUnit& one : *listed) {
        if (one.replica != id || !is_live(one)) continue;
        std::vector<std::string> arguments{options_.systemctl, "stop", "--no-block"};
        if (how == StopHow::kKill) arguments = {options_.systemctl, "kill", "--signal=SIGKILL"};
        arguments.insert(arguments.end(), {"--", unit_of(id)});
        const auto stopped = run_command(arguments, kCommandTimeout);
        RETURN_IF_ERROR(stopped);
    }
    return {};
}

std::string SystemdDriver::last_log(const ReplicaId& id) const {
    const auto output = run_command({options_.journalctl, "--unit=" + unit_of(id), "--lines=5",
                                     "--output=cat", "--no-pager", "--quiet"},
                                    kCommandTimeout);
    if (!output) return {};
    std::string joined;
    for (const char c : *output) {
        if (c != '\n') {
            joined += c;
        } else if (!joined.empty() && !joined.ends_with(" | ")) {
            joined += " | ";
        }
    }
    if (joined.ends_with(" | ")) joined.resize(joined.size() - 3);
    return joined;
}

// systemd forgets units that ended well; their directories tell that they were.
Result<std::vector<ObservedProcess>> SystemdDriver::list() {
    const std::lock_guard lock(mutex_);
    const auto listed = units();
    RETURN_IF_ERROR(listed);
    const auto ids = ReplicaDir::list(options_.run_dir);
    RETURN_IF_ERROR(ids);
    std::map<ReplicaId, SystemdUnit> known;
    for (const ReplicaId& id : *ids) known[id].active_state = "inactive";
    for (const SystemdUnit& unit : *listed) known[unit.replica] = unit;
    std::vector<ObservedProcess> processes;
    for (const auto& [id, unit] : known) {
        ObservedProcess process;
        process.id = id;
        process.epoch = ReplicaDir(options_.run_dir, id).epoch();
        process.is_running = is_live(unit);
        process.phase =
            unit.active_state == "activating" && unit.pid == 0 ? Phase::kPlaced : Phase::kRunning;
        process.pid = process.is_running ? unit.pid : 0;
        if (!process.is_running) process.exit_reason = exit_reason(unit);
        if (unit.active_state == "failed") process.last_log = last_log(id);
        processes.push_back(std::move(process));
    }
    return processes;
}

}  // namespace turnpike::controlplane
