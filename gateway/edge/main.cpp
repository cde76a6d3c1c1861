// turnpike-gateway: the public HTTPS edge. `--config FILE` serves until SIGTERM or SIGINT, then
// drains, or until another process with the same settings takes over; `--check-config` prints the
// effective settings and exits.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/base/failpoint.h"
#include "config/base/heartbeat.h"
#include "config/base/log.h"
#include "config/base/notify.h"
#include "gateway/edge/commit.h"
#include "gateway/edge/gateway.h"

namespace {

using namespace turnpike;

constexpr char kUsage[] =
    "usage: turnpike-gateway --config FILE [--check-config]\n"
    "  --config FILE    settings, JSON with comments: see ops/docs/formats/settings.md\n"
    "  --check-config   print the effective settings and exit\n";

struct Arguments {
    std::string config;
    bool only_checks = false;
};

std::optional<Arguments> parse_arguments(int argc, char** argv) {
    Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--check-config") {
            arguments.only_checks = true;
        } else if (argument == "--config" && i + 1 < argc) {
            arguments.config = argv[++i];
        } else {
            return {};
        }
    }
    if (arguments.config.empty()) return {};
    return arguments;
}

int fail(const Error& error) {
    std::fprintf(stderr, "turnpike-gateway: %s\n", error.message.c_str());
    return 1;
}

// Before any thread starts, so that all inherit the mask.
sigset_t block_signals() {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);  // of this process to itself: handed over
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return signals;
}

int serve(gateway::Settings settings) {
    const sigset_t signals = block_signals();
    if (const Status status = open_failpoints(); !status) return fail(status.error());
    const auto notifier = Notifier::from_environment();
    if (!notifier) return fail(notifier.error());
    const SystemClock clock;
    Log log(clock, "gateway");
    gateway::GatewayOptions options;
    options.settings = std::move(settings);
    options.build = {kVersion, kCommit};
    options.on_handed_over = [] { ::kill(::getpid(), SIGUSR1); };
    Heartbeat heartbeat(*notifier, clock);
    options.heartbeat = &heartbeat;
    const auto started = gateway::Gateway::start(std::move(options), clock, log);
    if (!started) return fail(started.error());
    notifier->ready("serving");
    int signal = 0;
    sigwait(&signals, &signal);
    // Not after a handover: the service goes on, in another process.
    if (signal != SIGUSR1) notifier->stopping("draining");
    // A second signal ends the process at once; the outbox survives that. Not after a handover: it
    // drains already, and whoever stops the service lets it.
    if (signal != SIGUSR1) pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    (*started)->drain();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fputs(kUsage, stdout);
        return 0;
    }
    const auto arguments = parse_arguments(argc, argv);
    if (!arguments) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    auto settings = gateway::load_settings(arguments->config);
    if (!settings) return fail(settings.error());
    if (arguments->only_checks) {
        std::puts(gateway::write_settings(*settings).c_str());
        return 0;
    }
    return serve(std::move(*settings));
}
