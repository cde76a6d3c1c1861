#include "controlplane/run/process_driver.h"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "config/base/failpoint.h"
#include "config/base/limits.h"
#include "controlplane/run/spawn.h"

namespace turnpike::controlplane {
namespace {

constexpr std::size_t kLogTailBytes = 1024;  // of a reason that people read

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

// The epoch in the settings that a replica was started with.
Epoch epoch_in_settings(const std::string& path) {
    const Result<std::string> text = read_whole_file(path);
    if (!text) return Epoch();
    const auto settings = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (!settings.is_object()) return Epoch();
    const auto epoch = settings.find("epoch");
    if (epoch == settings.end() || !epoch->is_number_integer()) return Epoch();
    return Epoch(epoch->get<std::int64_t>());
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

std::string ProcessDriver::dir_of(const ReplicaId& id) const {
    return options_.run_dir + "/r/" + id.value();
}

Status ProcessDriver::find_running() {
    const std::string parent = options_.run_dir + "/r";
    std::error_code failed;
    std::filesystem::create_directories(parent, failed);
    if (failed)
        return Error{ErrorCode::kIo, "cannot create " + parent + ": " + failed.message(), {}};
    const auto arguments = find_process_arguments(parent + "/");
    for (const auto& entry : std::filesystem::directory_iterator(parent, failed))
        RETURN_IF_ERROR(adopt(ReplicaId(entry.path().filename().string()), arguments));
    if (failed) return Error{ErrorCode::kIo, "cannot list " + parent + ": " + failed.message(), {}};
    return {};
}

// Started by an earlier life of ours. The pid file tells which process it is; when we died before
// writing it, the command line does.
Status ProcessDriver::adopt(const ReplicaId& id, const std::map<pid_t, std::string>& arguments) {
    const std::string settings_file = dir_of(id) + "/engine.json";
    Known known;
    known.has_ended = true;
    known.exit_reason = "gone";
    if (const auto text = read_whole_file(dir_of(id) + "/pid")) {
        const Result<PidFile> file = parse_pid_file(*text);
        if (!file) return file.error();
        known.identity = file->identity;
        known.epoch = file->epoch;
        known.has_ended = !is_running(file->identity);
    } else if (text.error().code != ErrorCode::kNotFound) {
        return text.error();
    }
    for (const auto& [pid, argument] : arguments) {
        if (!known.has_ended || argument != settings_file) continue;
        const auto identity = identify_process(pid);
        if (!identity) continue;
        known.identity = *identity;
        known.epoch = epoch_in_settings(settings_file);
        known.has_ended = false;
        RETURN_IF_ERROR(
            write_whole_file(dir_of(id) + "/pid", write_pid_file({*identity, known.epoch})));
    }
    if (!known.has_ended) watcher_.watch(known.identity);
    const std::lock_guard lock(mutex_);
    known_[id] = known;
    return {};
}

Result<std::string> ProcessDriver::address_of(const ReplicaId& id) const {
    const std::string path = dir_of(id) + "/engine.sock";
    if (path.size() > limits::kMaxUnixSocketPath)
        return invalid_argument("the socket path " + path + " has " + std::to_string(path.size()) +
                                    " bytes, at most " +
                                    std::to_string(limits::kMaxUnixSocketPath) +
                                    " are possible; choose a shorter run_dir",
                                "run_dir");
    return "unix:" + path;
}

Status ProcessDriver::write_settings(const ReplicaSpec& spec, const std::string& address) const {
    const std::string dir = dir_of(spec.id);
    const nlohmann::json settings{{"model_dir", spec.model_dir},
                                  {"card", spec.card},
                                  {"listen", address},
                                  {"epoch", spec.epoch.value()},
                                  {"lock_file", dir + "/lock"},
                                  {"meter_file", dir + "/meter"},
                                  {"speculative_tokens", spec.speculative_tokens}};
    return write_whole_file(dir + "/engine.json", settings.dump(2) + "\n");
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
    const std::string dir = dir_of(spec.id);
    std::error_code failed;
    std::filesystem::create_directories(dir, failed);
    if (failed) return Error{ErrorCode::kIo, "cannot create " + dir + ": " + failed.message(), {}};
    RETURN_IF_ERROR(write_settings(spec, *address));
    const SpawnOptions options{{options_.engine_binary, "serve", "--config", dir + "/engine.json"},
                               dir + "/engine.log"};
    const Result<pid_t> pid = spawn_detached(options);
    if (!pid) return pid.error();
    // A child that we have not reaped keeps its pid, so it can be identified; one that has ended
    // by now is a zombie with start time 0 here, and is reaped by the next refresh().
    const ProcessIdentity identity = identify_process(*pid).value_or(ProcessIdentity{*pid, 0});
    known_[spec.id] = Known{identity, spec.epoch, true, false, {}};
    watcher_.watch(identity);
    pass_failpoint(Failpoint::kReplicaStarted);
    return write_whole_file(dir + "/pid", write_pid_file({identity, spec.epoch}));
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
        if (known.has_ended)
            process.last_log = last_lines(dir_of(id) + "/engine.log", kLogTailBytes);
        processes.push_back(std::move(process));
    }
    return processes;
}

}  // namespace turnpike::controlplane
