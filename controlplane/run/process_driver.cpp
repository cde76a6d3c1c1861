#include "controlplane/run/process_driver.h"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <sstream>
#include <utility>

#include "config/base/failpoint.h"
#include "controlplane/run/spawn.h"

namespace turnpike::controlplane {
namespace {

std::string describe_exit(int status) {
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    return "exit status " + std::to_string(WEXITSTATUS(status));
}

struct PidFile {
    ProcessIdentity identity;
    Epoch epoch;
};

std::string write_pid_file(const PidFile& file) {
    return std::to_string(file.identity.pid) + " " + std::to_string(file.identity.start_time) +
           " " + std::to_string(file.epoch.value()) + "\n";
}

Result<PidFile> parse_pid_file(const std::string& text) {
    std::istringstream fields(text);
    PidFile file;
    std::int64_t epoch = 0;
    if (!(fields >> file.identity.pid >> file.identity.start_time >> epoch))
        return Error{
            ErrorCode::kCorrupt, "expected '<pid> <start time> <epoch>', found " + text, {}};
    file.epoch = Epoch(epoch);
    return file;
}

}  // namespace

ProcessDriver::ProcessDriver(ProcessDriverOptions options, std::function<void()> on_exit)
    : options_(std::move(options)), watcher_(std::move(on_exit)) {}

Result<std::unique_ptr<ProcessDriver>> ProcessDriver::open(ProcessDriverOptions options,
                                                           std::function<void()> on_exit) {
    if (!options.run_dir.starts_with('/') || !options.engine_binary.starts_with('/'))
        return invalid_argument("run_dir and engine_binary must be absolute paths; found '" +
                                options.run_dir + "' and '" + options.engine_binary + "'");
    std::unique_ptr<ProcessDriver> driver(
        new ProcessDriver(std::move(options), std::move(on_exit)));
    RETURN_IF_ERROR(driver->find_running());
    return driver;
}

ReplicaDir ProcessDriver::dir_of(const ReplicaId& id) const {
    return {options_.run_dir, id};
}

Status ProcessDriver::find_running() {
    const auto ids = ReplicaDir::list(options_.run_dir);
    RETURN_IF_ERROR(ids);
    const auto arguments = find_process_arguments(options_.run_dir + "/r/");
    for (const ReplicaId& id : *ids) RETURN_IF_ERROR(adopt(id, arguments));
    return {};
}

// Started by an earlier life of ours. The pid file tells which process it is; when we died before
// writing it, the command line does.
Status ProcessDriver::adopt(const ReplicaId& id, const std::map<pid_t, std::string>& arguments) {
    const ReplicaDir dir = dir_of(id);
    Known known;
    known.has_ended = true;
    known.exit_reason = "gone";
    if (const auto text = read_whole_file(dir.pid_file())) {
        const Result<PidFile> file = parse_pid_file(*text);
        if (!file) return file.error();
        known.identity = file->identity;
        known.epoch = file->epoch;
        known.has_ended = !is_running(file->identity);
    } else if (text.error().code != ErrorCode::kNotFound) {
        return text.error();
    }
    for (const auto& [pid, argument] : arguments) {
        if (!known.has_ended || argument != dir.settings_file()) continue;
        const auto identity = identify_process(pid);
        if (!identity) continue;
        known.identity = *identity;
        known.epoch = dir.epoch();
        known.has_ended = false;
        RETURN_IF_ERROR(write_whole_file(dir.pid_file(), write_pid_file({*identity, known.epoch})));
    }
    if (!known.has_ended) watcher_.watch(known.identity);
    const std::lock_guard lock(mutex_);
    known_[id] = known;
    return {};
}

Result<std::string> ProcessDriver::address_of(const ReplicaId& id) const {
    return dir_of(id).socket_address();
}

Status ProcessDriver::start(const ReplicaSpec& spec) {
    const Result<std::string> address = address_of(spec.id);
    if (!address) return address.error();
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(spec.id);
    if (found != known_.end()) {
        refresh(found->second);
        if (!found->second.has_ended && found->second.epoch == spec.epoch) return {};
        if (!found->second.has_ended)
            return Error{ErrorCode::kConflict,
                         "replica " + spec.id.value() + " still runs with epoch " +
                             std::to_string(found->second.epoch.value()),
                         {}};
    }
    const ReplicaDir dir = dir_of(spec.id);
    RETURN_IF_ERROR(dir.write_settings(spec, {*address, {}}));
    const SpawnOptions options{{options_.engine_binary, "serve", "--config", dir.settings_file()},
                               dir.log_file()};
    const Result<pid_t> pid = spawn_detached(options);
    if (!pid) return pid.error();
    // A child that we have not reaped keeps its pid, so it can be identified; one that has ended
    // by now is a zombie with start time 0 here, and is reaped by the next refresh().
    const ProcessIdentity identity = identify_process(*pid).value_or(ProcessIdentity{*pid, 0});
    known_[spec.id] = Known{identity, spec.epoch, true, false, {}};
    watcher_.watch(identity);
    pass_failpoint(Failpoint::kReplicaStarted);
    return write_whole_file(dir.pid_file(), write_pid_file({identity, spec.epoch}));
}

Status ProcessDriver::stop(const ReplicaId& id, StopHow how) {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(id);
    if (found == known_.end()) return {};
    refresh(found->second);
    if (found->second.has_ended) return {};
    return send_signal(found->second.identity, how == StopHow::kDrain ? SIGTERM : SIGKILL);
}

// Only this function waits for children, under the mutex, so no pid is reused before it is noticed.
void ProcessDriver::refresh(Known& known) {
    if (known.has_ended) return;
    if (!known.is_child) {
        known.has_ended = !is_running(known.identity);
        if (known.has_ended) known.exit_reason = "gone";
        return;
    }
    int status = 0;
    const pid_t reaped = ::waitpid(known.identity.pid, &status, WNOHANG);
    if (reaped == 0 || (reaped < 0 && errno == EINTR)) return;
    known.has_ended = true;
    known.exit_reason = reaped > 0 ? describe_exit(status) : "gone";
}

Result<std::vector<ObservedProcess>> ProcessDriver::list() {
    const std::lock_guard lock(mutex_);
    std::vector<ObservedProcess> processes;
    for (auto& [id, known] : known_) {
        refresh(known);
        ObservedProcess process;
        process.id = id;
        process.epoch = known.epoch;
        process.is_running = !known.has_ended;
        process.pid = known.has_ended ? 0 : known.identity.pid;
        process.exit_reason = known.exit_reason;
        if (known.has_ended) process.last_log = dir_of(id).last_log();
        processes.push_back(std::move(process));
    }
    return processes;
}

}  // namespace turnpike::controlplane
