// Which process is meant: a pid alone may be reused, a pid with its start time is not. Linux
// /proc, see proc(5).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::controlplane {

struct ProcessIdentity {
    pid_t pid = 0;
    std::uint64_t start_time = 0;  // clock ticks since boot: field 22 of /proc/<pid>/stat

    friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

struct ProcessStat {
    char state = '?';
    std::uint64_t start_time = 0;
};

// The text of /proc/<pid>/stat; kCorrupt when it is none. The command's name may hold anything,
// closing brackets too.
Result<ProcessStat> parse_process_stat(const std::string& text);

// The process that has this pid now; empty when there is none or it is a zombie.
std::optional<ProcessIdentity> identify_process(pid_t pid);
bool is_running(const ProcessIdentity& identity);

// Argument texts of /proc/<pid>/cmdline that contain `fragment`, by pid, of every process that this
// user may see; for finding processes whose pid was never written down.
std::map<pid_t, std::string> find_process_arguments(const std::string& fragment);

// A pidfd of exactly this process, readable once it ends; not open when it is gone.
UniqueFd open_process(const ProcessIdentity& identity);
// kIo; no error when the process is gone.
Status send_signal(const ProcessIdentity& identity, int signal);

}  // namespace turnpike::controlplane
