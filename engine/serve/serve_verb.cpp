// `turnpike-engine serve`: builds the object graph, waits for a signal, drains.
#include <csignal>
#include <cstdio>
#include <thread>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "engine/serve/engine_service.h"
#include "engine/serve/epoch_lock.h"
#include "engine/serve/verbs.h"

namespace turnpike::engine {
namespace {

// 23K thinking tokens at 25 tokens a second.
constexpr auto kDrainLimit = std::chrono::minutes(15);

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

void wait_until_drained(const EngineService& service, const sigset_t& signals, const Clock& clock) {
    const auto deadline = clock.steady_now() + kDrainLimit;
    const timespec tick{0, 20'000'000};
    while (service.num_active() > 0 && clock.steady_now() < deadline) {
        if (sigtimedwait(&signals, nullptr, &tick) > 0) return;  // a second signal ends at once
    }
}

}  // namespace

int fail(const Error& error) {
    std::fprintf(stderr, "turnpike-engine: %s\n", error.message.c_str());
    return 1;
}

int serve(const std::string& config_file, bool only_checks_config) {
    auto settings = load_engine_settings(config_file);
    if (!settings) return fail(settings.error());
    auto card = schema::load_model_card(settings->card);
    if (!card) return fail(card.error());
    if (only_checks_config) {
        std::printf("%s\n", to_json(*settings).c_str());
        return 0;
    }
    const sigset_t signals = block_signals();
    const SystemClock clock;
    Log log(clock, "engine");
    const auto lock = EpochLock::acquire(settings->lock_file, settings->epoch);
    if (!lock) return fail(lock.error());
    auto meter = MeterFile::open(settings->meter_file);
    if (!meter) return fail(meter.error());
    net::HttpServerOptions options;
    options.address = settings->listen;
    EngineService service(std::move(*settings), std::move(*card), std::move(*meter), clock, log);
    const auto handler = [&service](net::HttpRequest request,
                                    std::shared_ptr<net::HttpReply> reply) {
        service.handle(std::move(request), std::move(reply));
    };
    auto server = net::HttpServer::start(options, handler, log);
    if (!server) return fail(server.error());
    log.info("engine_listening", {{"address", net::to_string((*server)->address())}});
    if (const Status status = service.load(); !status) {
        log.error("load_failed", {{"reason", status.error().message}});
        return fail(status.error());
    }
    log.info("engine_ready");
    int signal = 0;
    sigwait(&signals, &signal);
    log.info("engine_draining", {{"active", service.num_active()}});
    service.drain();
    wait_until_drained(service, signals, clock);
    (*server)->stop();
    log.info("engine_stopped");
    return 0;
}

}  // namespace turnpike::engine
