#include "controlplane/run/slurm_jobs.h"

#include <sys/wait.h>

#include <array>
#include <charconv>
#include <map>
#include <optional>

namespace turnpike::controlplane {
namespace {

struct Column {
    std::string_view name;
    std::size_t width;
};

// Longer values are cut, so the widths are above what can be: a comment is a prefix and a replica's
// name, and host names have at most 64 bytes.
constexpr std::array<Column, 6> kColumns{{{"JobID", 16},
                                          {"State", 16},
                                          {"exit_code", 12},
                                          {"Reason", 48},
                                          {"BatchHost", 68},
                                          {"Comment", 160}}};

std::string_view trim(std::string_view text) {
    while (text.ends_with(' ')) text.remove_suffix(1);
    while (text.starts_with(' ')) text.remove_prefix(1);
    return text;
}

std::optional<std::int64_t> parse_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

// Of "<prefix>:<replica>:<epoch>".
bool read_comment(std::string_view comment, const std::string& prefix, SlurmJob& job) {
    if (!comment.starts_with(prefix + ":")) return false;
    comment.remove_prefix(prefix.size() + 1);
    const std::size_t colon = comment.find(':');
    if (colon == std::string_view::npos) return false;
    const auto epoch = parse_number(comment.substr(colon + 1));
    if (!epoch) return false;
    job.replica = ReplicaId(std::string(comment.substr(0, colon)));
    job.epoch = Epoch(*epoch);
    return true;
}

// "7:0" is a status and a signal; a plain number is what wait(2) gave.
std::string describe_exit(std::string_view text) {
    int status = 0;
    int signal = 0;
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
        const auto raw = static_cast<int>(parse_number(text).value_or(0));
        if (WIFSIGNALED(raw)) signal = WTERMSIG(raw);
        if (WIFEXITED(raw)) status = WEXITSTATUS(raw);
    } else {
        status = static_cast<int>(parse_number(text.substr(0, colon)).value_or(0));
        signal = static_cast<int>(parse_number(text.substr(colon + 1)).value_or(0));
    }
    // A shell in between turns a signal into 128 and its number.
    if (signal == 0 && status > 128) signal = status - 128;
    if (signal != 0) return "signal " + std::to_string(signal);
    return "exit status " + std::to_string(status);
}

Phase phase_of(const SlurmJob& job) {
    if (job.state == "PENDING" || job.state.starts_with("REQUEUE")) return Phase::kQueued;
    if (job.state == "CONFIGURING") return Phase::kPlaced;
    return Phase::kRunning;
}

ObservedProcess process_of(const SlurmJob& job) {
    ObservedProcess process;
    process.id = job.replica;
    process.epoch = job.epoch;
    process.is_running = is_live(job);
    process.phase = phase_of(job);
    if (process.is_running && process.phase == Phase::kQueued) process.wait_reason = job.reason;
    if (!process.is_running) process.exit_reason = exit_reason(job);
    return process;
}

}  // namespace

std::string jobs_format() {
    std::string format;
    for (const Column& column : kColumns) {
        format += (format.empty() ? "" : ",") + std::string(column.name) + ":" +
                  std::to_string(column.width);
    }
    return format;
}

Result<std::vector<SlurmJob>> parse_jobs(std::string_view text, const std::string& prefix) {
    std::vector<SlurmJob> jobs;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        const std::string_view whole = line;
        text.remove_prefix(std::min(end + 1, text.size()));
        if (trim(line).empty()) continue;
        std::array<std::string_view, kColumns.size()> fields;
        for (std::size_t i = 0; i < kColumns.size(); ++i) {
            fields[i] = trim(line.substr(0, kColumns[i].width));
            line.remove_prefix(std::min(kColumns[i].width, line.size()));
        }
        SlurmJob job;
        if (!read_comment(fields[5], prefix, job)) continue;
        const auto id = parse_number(fields[0]);
        if (!id || fields[1].empty())
            return Error{ErrorCode::kCorrupt,
                         "expected a job of squeue, found '" + std::string(whole) + "'",
                         {}};
        job.id = *id;
        job.state = fields[1];
        job.exit = fields[2];
        job.reason = fields[3];
        job.batch_host = fields[4];
        jobs.push_back(std::move(job));
    }
    return jobs;
}

std::string job_comment(const std::string& prefix, const ReplicaId& replica, Epoch epoch) {
    return prefix + ":" + replica.value() + ":" + std::to_string(epoch.value());
}

bool is_live(const SlurmJob& job) {
    constexpr std::array<std::string_view, 10> kEnded{
        "BOOT_FAIL", "CANCELLED",     "COMPLETED", "DEADLINE", "FAILED",
        "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",  "TIMEOUT"};
    for (const std::string_view state : kEnded) {
        if (job.state.starts_with(state)) return false;
    }
    return true;
}

std::vector<ObservedProcess> processes_of(const std::vector<SlurmJob>& jobs) {
    std::map<ReplicaId, const SlurmJob*> chosen;
    for (const SlurmJob& job : jobs) {
        const SlurmJob*& best = chosen[job.replica];
        const bool is_better = best == nullptr || (is_live(job) && !is_live(*best)) ||
                               (is_live(job) == is_live(*best) && job.epoch >= best->epoch);
        if (is_better) best = &job;
    }
    std::vector<ObservedProcess> processes;
    for (const auto& [replica, job] : chosen) processes.push_back(process_of(*job));
    return processes;
}

std::string exit_reason(const SlurmJob& job) {
    if (job.state.starts_with("NODE_FAIL") || job.state.starts_with("BOOT_FAIL"))
        return "node failed";
    if (job.state.starts_with("OUT_OF_MEMORY")) return "out of memory";
    if (job.state.starts_with("TIMEOUT") || job.state.starts_with("DEADLINE"))
        return "its job's time limit";
    if (job.state.starts_with("PREEMPTED")) return "preempted";
    const std::string exit = describe_exit(job.exit);
    if (job.state.starts_with("CANCELLED") && exit == "exit status 0") return "cancelled";
    return exit;
}

}  // namespace turnpike::controlplane
