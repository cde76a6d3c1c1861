// `turnpike-engine serve`: builds the object graph, waits for a signal, drains.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "config/base/clock.h"
#include "config/base/failpoint.h"
#include "config/base/log.h"
#include "config/base/notify.h"
#include "engine/model/make_backend.h"
#include "engine/serve/address_file.h"
#include "engine/serve/commit.h"
#include "engine/serve/engine_service.h"
#include "engine/serve/epoch_lock.h"
#include "engine/serve/gpu_faults.h"
#include "engine/serve/replica_ranks.h"
#include "engine/serve/systemd_notifier.h"
#include "engine/serve/verbs.h"

namespace turnpike::engine {
namespace {

// 23K thinking tokens at 25 tokens a second.
constexpr auto kDrainLimit = std::chrono::minutes(15);
constexpr auto kTick = std::chrono::milliseconds(20);
// Replies are complete by then; a reader that does not take them in this time is left.
constexpr auto kFlushLimit = std::chrono::seconds(2);
// They tokenise: while one works on a prompt of 128K tokens, others still answer /health.
constexpr int kNumHttpThreads = 4;

// Blocks the signals in this thread and all that it starts; they are taken by sigtimedwait.
sigset_t block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    return signals;
}

// True when a signal came within `wait`.
bool is_signalled(const sigset_t& signals, std::chrono::nanoseconds wait) {
    const timespec limit{0, static_cast<long>(wait.count())};
    return sigtimedwait(&signals, nullptr, &limit) > 0;
}

// What the main thread waits with: each tick of its waits is told to systemd.
struct MainThread {
    EngineService& service;
    const sigset_t& signals;
    const Clock& clock;
    SystemdNotifier& notifier;

    // True when a signal came within a tick.
    bool wait() const {
        const bool is_ended = is_signalled(signals, kTick);
        notifier.observe(clock.steady_now(), service.state(), service.load_now());
        return is_ended;
    }
};

// Returns early on a second signal.
void wait_until_drained(const MainThread& main) {
    const auto deadline = main.clock.steady_now() + kDrainLimit;
    while (main.service.num_active() > 0 && main.clock.steady_now() < deadline) {
        if (main.wait()) return;
    }
}

// Loads the model on a thread of its own. A signal meanwhile ends the process at once: nothing runs
// yet that could be finished, and reading a large model takes minutes. A signal just after it, when
// requests may have come already, is left to the caller's sigwait.
Status load_or_exit(const MainThread& main, net::HttpServer& server, Log& log) {
    Status status;
    EngineService& service = main.service;
    std::atomic<bool> is_done{false};
    std::thread loader([&] {
        status = service.load();
        is_done = true;
    });
    while (!is_done) {
        if (!main.wait()) continue;
        if (!service.is_loading()) {
            std::raise(SIGTERM);
            break;
        }
        log.info("engine_stopped", {{"reason", "a signal while loading"}});
        server.stop();
        std::_Exit(0);
    }
    loader.join();
    return status;
}

// Serves until a signal, then drains.
int run(const MainThread& main, net::HttpServer& server, Log& log) {
    EngineService& service = main.service;
    main.notifier.listening();
    log.info("engine_listening", {{"address", net::to_string(server.address())}});
    if (const Status status = load_or_exit(main, server, log); !status) {
        log.error("load_failed", {{"reason", status.error().message}});
        return fail(status.error());
    }
    log.info("engine_ready");
    while (!main.wait()) {
    }
    log.info("engine_draining", {{"active", service.num_active()}});
    service.drain();
    main.notifier.observe(main.clock.steady_now(), service.state(), service.load_now());
    wait_until_drained(main);
    service.stop();
    server.stop();
    log.info("engine_stopped");
    return 0;
}

// Without what tells of its faults a GPU serves all the same.
std::unique_ptr<GpuFaults> open_gpu_faults(Log& log) {
    const auto bus_id = gpu_bus_id();
    auto faults = bus_id ? GpuFaults::open(*bus_id) : bus_id.error();
    if (faults) return *std::move(faults);
    log.warning("gpu_unwatched", {{"reason", faults.error().message}});
    return nullptr;
}

}  // namespace

int fail(const Error& error) {
    std::fprintf(stderr, "turnpike-engine: %s\n", error.message.c_str());
    return 1;
}

int serve(const std::string& config_file, std::int64_t num_ranks, bool only_checks_config) {
    auto settings = load_engine_settings(config_file, num_ranks);
    if (!settings) return fail(settings.error());
    auto card = schema::load_model_card(settings->card);
    if (!card) return fail(card.error());
    if (only_checks_config) {
        std::printf("%s\n", to_json(*settings).c_str());
        return 0;
    }
    const sigset_t signals = block_signals();
    if (const Status status = open_failpoints(); !status) return fail(status.error());
    const auto notifier = Notifier::from_environment();
    if (!notifier) return fail(notifier.error());
    const SystemClock clock;
    Log log(clock, "engine");
    const auto lock = EpochLock::acquire(settings->lock_file, settings->epoch);
    if (!lock) return fail(lock.error());
    auto meter = MeterFile::open(settings->meter_file);
    if (!meter) return fail(meter.error());
    const auto address_file = AddressFile::prepare(settings->address_file);
    if (!address_file) return fail(address_file.error());
    const auto ranks =
        ReplicaRanks::start(static_cast<int>(settings->ranks), settings->attention, log);
    if (!ranks) return fail(ranks.error());
    net::HttpServerOptions options;
    options.address = settings->listen;
    options.tls = settings->tls;
    options.num_threads = kNumHttpThreads;
    options.drain_timeout = kFlushLimit;
    // Not exit(): the step thread hangs and can be neither joined nor waited for. What it counted
    // is in the meter file.
    const auto end_process = [](const std::string& reason) {
        std::fprintf(stderr, "turnpike-engine: %s\n", reason.c_str());
        std::_Exit(1);
    };
    const bool has_gpu = settings->isa == kCudaName;
    EngineService service(std::move(*settings), std::move(*card), std::move(*meter), clock, log,
                          end_process);
    service.set_ranks((*ranks)->link());
    service.set_build({kVersion, kCommit});
    if (has_gpu) service.watch_gpu(open_gpu_faults(log));
    const auto handler = [&service](const net::HttpRequest& request,
                                    const std::shared_ptr<net::HttpReply>& reply) {
        service.handle(request, reply);
    };
    auto server = net::HttpServer::start(options, handler, log);
    if (!server) return fail(server.error());
    const Status announced = address_file->write((*server)->address());
    if (!announced) return fail(announced.error());
    SystemdNotifier systemd(*notifier);
    return run({service, signals, clock, systemd}, **server, log);
}

}  // namespace turnpike::engine
