#include "controlplane/run/spawn.h"

#include <fcntl.h>
#include <spawn.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "config/base/read_file.h"

extern char** environ;  // POSIX declares it nowhere

namespace turnpike::controlplane {
namespace {

// posix_spawn's two option objects, freed together.
struct SpawnSetup {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;

    SpawnSetup() {
        posix_spawn_file_actions_init(&files);
        posix_spawnattr_init(&attributes);
    }

    ~SpawnSetup() {
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
    }

    SpawnSetup(const SpawnSetup&) = delete;
    SpawnSetup& operator=(const SpawnSetup&) = delete;
};

// Returns the first error number, 0 for none.
int prepare_files(posix_spawn_file_actions_t& files, const std::string& log_file) {
    const int log_flags = O_WRONLY | O_CREAT | O_APPEND;
    int failed = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (failed == 0)
        failed = posix_spawn_file_actions_addopen(&files, 1, log_file.c_str(), log_flags, 0600);
    if (failed == 0) failed = posix_spawn_file_actions_adddup2(&files, 1, 2);
    // A listening socket of ours in a replica would keep accepting after we die.
    if (failed == 0) failed = posix_spawn_file_actions_addclosefrom_np(&files, 3);
    if (failed == 0) failed = posix_spawn_file_actions_addchdir_np(&files, "/");
    return failed;
}

int prepare_signals(posix_spawnattr_t& attributes) {
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    int failed = posix_spawnattr_setsigmask(&attributes, &none);
    if (failed == 0) failed = posix_spawnattr_setsigdefault(&attributes, &all);
    const int flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (failed == 0) failed = posix_spawnattr_setflags(&attributes, static_cast<short>(flags));
    return failed;
}

}  // namespace

Result<pid_t> spawn_detached(const SpawnOptions& options) {
    SpawnSetup setup;
    std::vector<std::string> arguments = options.arguments;
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    errno = prepare_files(setup.files, options.log_file);
    if (errno == 0) errno = prepare_signals(setup.attributes);
    if (errno == 0)
        errno = posix_spawn(&pid, argv[0], &setup.files, &setup.attributes, argv.data(), environ);
    if (errno != 0) return errno_error("cannot start " + options.arguments[0]);
    return pid;
}

Status write_whole_file(const std::string& path, const std::string& text) {
    const std::string temporary = path + ".new";
    {
        std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
        file << text;
        file.flush();
        if (!file) return errno_error("cannot write " + temporary);
    }
    if (std::rename(temporary.c_str(), path.c_str()) != 0)
        return errno_error("cannot rename to " + path);
    return {};
}

Result<std::string> read_whole_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file && errno == ENOENT) return Error{ErrorCode::kNotFound, "no file " + path, {}};
    if (!file) return errno_error("cannot open " + path);
    auto text = read_to_end(file);
    if (!text) return errno_error("cannot read " + path);
    return std::move(*text);
}

std::string last_lines(const std::string& path, std::size_t max_bytes) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) return {};
    const auto size = static_cast<std::size_t>(std::max<std::streamoff>(0, file.tellg()));
    const bool is_cut = size > max_bytes;
    file.seekg(static_cast<std::streamoff>(is_cut ? size - max_bytes : 0));
    std::string joined;
    bool is_first = true;
    for (std::string line; std::getline(file, line);) {
        // The first line of a cut tail has lost its beginning.
        const bool is_partial = is_cut && is_first;
        is_first = false;
        if (line.empty() || is_partial) continue;
        joined += (joined.empty() ? "" : " | ") + line;
    }
    return joined;
}

}  // namespace turnpike::controlplane
