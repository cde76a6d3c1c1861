#include "controlplane/serve/service.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "config/crypto/pepper.h"
#include "config/net/http_server.h"
#include "config/net/tls_context.h"
#include "controlplane/run/engine_client.h"
#include "controlplane/run/loop.h"
#include "controlplane/serve/account_routes.h"
#include "controlplane/serve/audit_routes.h"
#include "controlplane/serve/backup_routes.h"
#include "controlplane/serve/billing_routes.h"
#include "controlplane/serve/driver_settings.h"
#include "controlplane/serve/endpoint_routes.h"
#include "controlplane/serve/health_route.h"
#include "controlplane/serve/init.h"
#include "controlplane/serve/internal_routes.h"
#include "controlplane/serve/lease_routes.h"
#include "controlplane/serve/limit_routes.h"
#include "controlplane/serve/load_reports.h"
#include "controlplane/serve/metrics_routes.h"
#include "controlplane/serve/operator_access.h"
#include "controlplane/serve/protocol_check.h"
#include "controlplane/serve/public_routes.h"
#include "controlplane/serve/reconcile_routes.h"
#include "controlplane/serve/replica_routes.h"
#include "controlplane/serve/router.h"
#include "controlplane/serve/seed.h"
#include "controlplane/serve/snapshot_poller.h"
#include "controlplane/serve/succession.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;

// A healthy engine answers within milliseconds; this leaves room for a busy host.
constexpr auto kHealthTimeout = 1s;
// Engines that hang are asked beside each other.
constexpr int kProbeThreads = 16;
// Long polls are all that may still be open, and a gateway asks again.
constexpr auto kDrainTimeout = 1s;
// Gateways report every second.
constexpr auto kFreshLoad = 5s;
// A customer's query may read months of usage; usage and snapshots go on beside it.
constexpr int kInternalThreads = 4;

// Lets the driver, which is made first and ends last, wake the loop while there is one.
class WakeRelay {
  public:
    void set(ReconcileLoop* loop) {
        const std::lock_guard lock(mutex_);
        loop_ = loop;
    }

    void wake() {
        const std::lock_guard lock(mutex_);
        if (loop_ != nullptr) loop_->wake();
    }

  private:
    std::mutex mutex_;
    ReconcileLoop* loop_ = nullptr;  // guarded by mutex_
};

// Connects the relay for as long as the loop lives.
class RelayConnection {
  public:
    RelayConnection(WakeRelay& relay, ReconcileLoop& loop) : relay_(relay) { relay_.set(&loop); }

    ~RelayConnection() { relay_.set(nullptr); }

    RelayConnection(const RelayConnection&) = delete;
    RelayConnection& operator=(const RelayConnection&) = delete;

  private:
    WakeRelay& relay_;
};

ReconcileOptions loop_options(const ControlplaneSettings& settings, const LoadReports& loads) {
    ReconcileOptions options;
    options.scaling.standard = settings.autoscaling;
    options.overdraft = settings.overdraft;
    options.retention = settings.retention;
    options.loads = [&loads](WallTime now) { return loads.loads(now - kFreshLoad); };
    for (const ModelSettings& model : settings.models) {
        options.models[model.card.id] = {model.card_file, model.model_dir,
                                         model.speculative_tokens};
        if (model.target_in_flight > 0.0)
            options.scaling.target_in_flight[model.card.id] = model.target_in_flight;
    }
    for (const HardwareSettings& row : settings.hardware)
        options.hardware.push_back({row.hardware.id, row.num_slots});
    const EngineAccess access{settings.engine_tls, kHealthTimeout};
    options.num_probe_threads = kProbeThreads;
    options.probe = [access](const ReplicaId& id, const std::string& address) {
        return ask_health(address, id, access);
    };
    return options;
}

// The servers of one opening of the store.
class Servers {
  public:
    Servers(Succession& succession, Log& log) : succession_(succession), log_(log) {}

    // Sockets of a process that goes on stay as they are, with their paths.
    ~Servers() {
        if (succession_.takes_over()) let_go();
    }

    Servers(const Servers&) = delete;
    Servers& operator=(const Servers&) = delete;

    Status listen(const net::NetAddress& address, int num_threads, net::HttpHandler handler) {
        net::HttpServerOptions options;
        options.address = address;
        options.num_threads = num_threads;
        options.drain_timeout = kDrainTimeout;
        auto listener = succession_.find_listener(address);
        RETURN_IF_ERROR(listener);
        auto server = net::HttpServer::start(std::move(options), std::move(handler), log_,
                                             std::move(*listener));
        RETURN_IF_ERROR(server);
        RETURN_IF_ERROR(succession_.keep_listener(address, (*server)->share_listener()));
        servers_.push_back(std::move(*server));
        return {};
    }

    // Answers what is in progress. The sockets live on, for another process or another opening.
    void let_go() {
        for (const auto& server : servers_) server->release_listener();
        stop();
    }

    void stop() {
        for (const auto& server : servers_) server->stop();
    }

  private:
    Succession& succession_;
    Log& log_;
    std::vector<std::unique_ptr<net::HttpServer>> servers_;
};

// What does not depend on the store.
struct Premises {
    const ControlplaneSettings& settings;
    const BuildInfo& build;
    const Clock& clock;
    Log& log;
    const ServeHooks& hooks;
    crypto::Peppers peppers;
    OperatorKeys operator_keys;
};

Status check_premises(Premises& premises) {
    const ControlplaneSettings& settings = premises.settings;
    // Now, rather than as replicas that never get ready.
    if (settings.engine_tls) RETURN_IF_ERROR(net::make_client_context(*settings.engine_tls));
    RETURN_IF_ERROR(make_directories(settings));
    Result<crypto::Peppers> peppers = crypto::load_peppers(settings.pepper_file);
    RETURN_IF_ERROR(peppers);
    premises.peppers = std::move(*peppers);
    if (!settings.listen_operators) return {};
    auto keys = OperatorKeys::load(settings.operator_keys_file);
    RETURN_IF_ERROR(keys);
    premises.operator_keys = std::move(*keys);
    return {};
}

// With the store open, until this process is told to end or another one wants the store.
Status serve_store(const Premises& premises, Succession& succession, bool is_first) {
    const ControlplaneSettings& settings = premises.settings;
    const Clock& clock = premises.clock;
    Log& log = premises.log;
    const Result<std::unique_ptr<Store>> store = Store::open(settings.data_dir, clock, log);
    if (!store) return store.error();
    RETURN_IF_ERROR(seed(**store, settings, clock.wall_now()));
    WakeRelay relay;
    const Result<std::unique_ptr<Driver>> driver = open_driver(settings, [&] { relay.wake(); });
    if (!driver) return driver.error();
    LoadReports loads;
    ReconcileLoop loop(loop_options(settings, loads), **store, **driver, clock, log);
    const RelayConnection connection(relay, loop);

    SnapshotPoller poller(**store, clock);
    BackupRunner backups(**store, clock, log);
    Router admin;
    add_account_routes(admin, **store, premises.peppers, clock);
    add_health_route(admin, **store, premises.build);
    add_billing_routes(admin, **store, clock);
    add_reconcile_routes(admin, **store, settings.engine_tls);
    add_public_routes(admin, **store, clock, caller_of_operator(**store));
    add_endpoint_routes(admin, {**store, settings, clock, endpoint_caller_of_operator(**store)});
    add_replica_routes(admin, {**store, **driver, loop, clock});
    add_limit_routes(admin, **store, clock);
    add_audit_routes(admin, **store);
    add_backup_routes(admin, backups);
    Router internal;
    add_internal_routes(internal, **store, poller, loads, clock, [&relay] { relay.wake(); });
    add_public_routes(internal, **store, clock, caller_of_gateway());
    add_endpoint_routes(internal, {**store, settings, clock, endpoint_caller_of_gateway(**store)});
    LeaseTerms lease_terms;
    lease_terms.overdraft = settings.overdraft;
    LeaseMetrics lease_metrics;
    add_lease_routes(internal, **store, lease_terms, lease_metrics, clock);
    Router metrics;
    add_metrics_routes(metrics, {**store, loop.metrics(), lease_metrics, loads, poller, clock,
                                 clock.steady_now(), premises.build});
    Servers servers(succession, log);
    RETURN_IF_ERROR(servers.listen(settings.listen_internal, kInternalThreads,
                                   with_protocol_check(internal.handler())));
    RETURN_IF_ERROR(servers.listen(settings.listen_admin, 1, admin.handler()));
    if (settings.listen_operators) {
        RETURN_IF_ERROR(servers.listen(*settings.listen_operators, 1,
                                       operator_handler(admin, premises.operator_keys, log)));
    }
    if (settings.listen_metrics)
        RETURN_IF_ERROR(servers.listen(*settings.listen_metrics, 1, metrics.handler()));
    RETURN_IF_ERROR(succession.say_serving());
    loop.start(premises.hooks.on_turn);
    log.info("controlplane_started", {{"admin", net::to_string(settings.listen_admin)},
                                      {"internal", net::to_string(settings.listen_internal)}});
    if (is_first) premises.hooks.on_serving();
    premises.hooks.until_told();
    poller.stop();
    if (succession.is_wanted()) {
        servers.let_go();
    } else {
        succession.end();
        servers.stop();
    }
    return {};
}

}  // namespace

Status serve(const ControlplaneSettings& settings,
             const BuildInfo& build,
             const Clock& clock,
             Log& log,
             const ServeHooks& hooks) {
    Premises premises{settings, build, clock, log, hooks, {}, {}};
    RETURN_IF_ERROR(check_premises(premises));
    const auto succession = Succession::begin(settings.handover_socket, hooks.wake, log);
    if (!succession) return succession.error();
    if ((*succession)->takes_over()) {
        RETURN_IF_ERROR(Store::check(settings.data_dir));
        RETURN_IF_ERROR((*succession)->say_ready());
    }
    for (bool is_first = true;; is_first = false) {
        RETURN_IF_ERROR(serve_store(premises, **succession, is_first));
        if (!(*succession)->is_wanted() || (*succession)->hand_over()) return {};
        log.warning("store_taken_back");
    }
}

}  // namespace turnpike::controlplane
