// turnpike-controlplane: init prepares the state directory, serve runs the control plane; a backup
// is verified or restored instead.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>

#include "config/base/check.h"
#include "config/base/clock.h"
#include "config/base/failpoint.h"
#include "config/base/heartbeat.h"
#include "config/base/log.h"
#include "config/base/notify.h"
#include "controlplane/serve/backup_program.h"
#include "controlplane/serve/commit.h"
#include "controlplane/serve/init.h"
#include "controlplane/serve/service.h"
#include "controlplane/serve/settings.h"

namespace {

using namespace turnpike;

// Blocked before any thread exists, so that sigwait() in main is the only one to see them.
sigset_t block_end_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);  // of this process to itself: another one is ready
    CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
    return signals;
}

int fail(const Error& error) {
    std::fprintf(stderr, "turnpike-controlplane: %s\n", error.message.c_str());
    return 1;
}

struct Flags {
    std::string config;
    bool check_config = false;
    bool is_init = false;
    std::string verified_backup;
    std::string restored_backup;
    std::string restore_to;
};

int run(const Flags& flags) {
    const Result<controlplane::ControlplaneSettings> settings =
        controlplane::load_settings(flags.config);
    if (!settings) return fail(settings.error());
    if (flags.check_config) {
        std::fputs(controlplane::write_settings(*settings).c_str(), stdout);
        return 0;
    }
    if (const Status status = open_failpoints(); !status) return fail(status.error());
    const SystemClock clock;
    Log log(clock, "controlplane");
    const sigset_t signals = block_end_signals();
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes plainly
    const auto notifier = Notifier::from_environment();
    if (!notifier) return fail(notifier.error());
    Heartbeat heartbeat(*notifier, clock);
    controlplane::ServeHooks hooks;
    hooks.on_turn = [&, loop = heartbeat.add_loop()] { heartbeat.turned(loop); };
    hooks.on_serving = [&] { notifier->ready("serving"); };
    hooks.until_told = [&] {
        int signal = 0;
        CHECK(sigwait(&signals, &signal) == 0);
        if (signal == SIGUSR1) return;
        log.info("end_asked", {{"signal", signal}});
        notifier->stopping("ending");
    };
    hooks.wake = [] { ::kill(::getpid(), SIGUSR1); };
    const Status done =
        flags.is_init ? controlplane::init(*settings, clock, log)
                      : controlplane::serve(*settings, {kVersion, kCommit}, clock, log, hooks);
    return done ? 0 : fail(done.error());
}

int use_backup(const Flags& flags) {
    const SystemClock clock;
    const Status done =
        flags.verified_backup.empty()
            ? controlplane::print_restored_backup(flags.restored_backup, flags.restore_to, clock)
            : controlplane::print_verified_backup(flags.verified_backup);
    return done ? 0 : fail(done.error());
}

void add_backup_flags(CLI::App& app, Flags& flags) {
    auto* verify = app.add_option("--verify-backup", flags.verified_backup,
                                  "check a backup, and change nothing");
    auto* restore =
        app.add_option("--restore-backup", flags.restored_backup, "make a data directory of it");
    auto* to = app.add_option("--to", flags.restore_to, "that directory, without a database");
    restore->needs(to)->excludes(verify);
    to->needs(restore);
}

void add_flags(CLI::App& verb, Flags& flags) {
    verb.add_option("--config", flags.config, "settings file (JSON)")->required();
    verb.add_flag("--check-config", flags.check_config, "print the effective settings and exit");
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Turnpike's control plane: accounts, endpoints, replicas and the ledger"};
    app.require_subcommand(0, 1);
    Flags flags;
    add_backup_flags(app, flags);
    CLI::App* serve = app.add_subcommand("serve", "run until SIGTERM; replicas outlive it");
    CLI::App* init = app.add_subcommand("init", "make directories, peppers and databases");
    add_flags(*serve, flags);
    add_flags(*init, flags);
    CLI11_PARSE(app, argc, argv);
    const bool has_backup = !flags.verified_backup.empty() || !flags.restored_backup.empty();
    const bool has_verb = serve->parsed() || init->parsed();
    if (has_verb == has_backup)
        return app.exit(CLI::RequiredError("One of serve, init and a backup's flags"));
    if (has_backup) return use_backup(flags);
    flags.is_init = init->parsed();
    return run(flags);
}
