#include "controlplane/run/process_identity.h"

extern "C" {  // glibc 2.36's header has no linkage of its own
#include <sys/pidfd.h>
}

#include <cctype>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "config/base/read_file.h"

namespace turnpike::controlplane {
namespace {

std::optional<std::string> read_proc(pid_t pid, const char* name) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/" + name, std::ios::binary);
    return read_to_end(file);  // nothing where the process has ended since the file was opened
}

// The NUL-terminated argument that contains `fragment`.
std::optional<std::string> argument_with(const std::string& command_line,
                                         const std::string& fragment) {
    std::istringstream arguments(command_line);
    for (std::string argument; std::getline(arguments, argument, '\0');) {
        if (argument.find(fragment) != std::string::npos) return argument;
    }
    return std::nullopt;
}

bool is_number(std::string_view text) {
    for (const char c : text) {
        if (std::isdigit(static_cast<unsigned char>(c)) == 0) return false;
    }
    return !text.empty() && text.size() < 10;
}

}  // namespace

Result<ProcessStat> parse_process_stat(const std::string& text) {
    const Error bad{ErrorCode::kCorrupt, "expected the text of /proc/<pid>/stat", {}};
    const std::size_t bracket = text.rfind(')');
    if (bracket == std::string::npos) return bad;
    std::istringstream fields(text.substr(bracket + 1));
    ProcessStat stat;
    if (!(fields >> stat.state)) return bad;
    // State is field 3, the start time field 22.
    std::string skipped;
    for (int field = 4; field < 22; ++field) fields >> skipped;
    if (!(fields >> stat.start_time)) return bad;
    return stat;
}

std::optional<ProcessIdentity> identify_process(pid_t pid) {
    const auto text = read_proc(pid, "stat");
    if (!text) return std::nullopt;
    const Result<ProcessStat> stat = parse_process_stat(*text);
    if (!stat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
    return ProcessIdentity{pid, stat->start_time};
}

bool is_running(const ProcessIdentity& identity) {
    return identify_process(identity.pid) == identity;
}

std::map<pid_t, std::string> find_process_arguments(const std::string& fragment) {
    std::map<pid_t, std::string> found;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", failed)) {
        const std::string name = entry.path().filename();
        if (!is_number(name)) continue;
        const pid_t pid = static_cast<pid_t>(std::stol(name));
        const auto command_line = read_proc(pid, "cmdline");
        if (!command_line) continue;
        if (auto argument = argument_with(*command_line, fragment)) found[pid] = *argument;
    }
    return found;
}

UniqueFd open_process(const ProcessIdentity& identity) {
    UniqueFd process(pidfd_open(identity.pid, 0));
    // Checked after opening: from here on the descriptor means this process and no later one.
    if (!process.is_open() || !is_running(identity)) return UniqueFd();
    return process;
}

Status send_signal(const ProcessIdentity& identity, int signal) {
    const UniqueFd process = open_process(identity);
    if (!process.is_open()) return {};
    if (pidfd_send_signal(process.get(), signal, nullptr, 0) == 0 || errno == ESRCH) return {};
    return errno_error("cannot signal process " + std::to_string(identity.pid));
}

}  // namespace turnpike::controlplane
