#include "gateway/edge/gateway.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "config/crypto/certificate.h"
#include "gateway/edge/outbox_slots.h"
#include "gateway/edge/share_file.h"

namespace turnpike::gateway {
namespace {

// What a control plane that answers needs for the last batches.
constexpr auto kDeliveryTime = std::chrono::seconds(5);
constexpr auto kLeaveTime = std::chrono::seconds(2);
// A successor's share of the limits comes within about two seconds of a control plane that answers.
constexpr auto kWarmTime = std::chrono::seconds(30);
constexpr auto kWarmPoll = std::chrono::milliseconds(10);
// Names of what is handed over, beside the addresses in the form of the settings.
constexpr std::string_view kServingLock = "serving";
constexpr std::string_view kMetricsPrefix = "metrics ";

LeaseDeskOptions lease_options(const GatewayOptions& options, std::int64_t share_ppm) {
    LeaseDeskOptions leases;
    leases.book = options.leases;
    leases.book.share_ppm = share_ppm;
    leases.unleased = options.settings.unleased;
    return leases;
}

int num_workers(const Settings& settings) {
    if (settings.num_threads > 0) return settings.num_threads;
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace

Gateway::Gateway(GatewayOptions options, const Clock& clock, Log& log)
    : options_(std::move(options)), clock_(clock), log_(log), load_(clock) {}

Result<std::unique_ptr<Gateway>> Gateway::start(GatewayOptions options,
                                                const Clock& clock,
                                                Log& log) {
    std::unique_ptr<Gateway> gateway(new Gateway(std::move(options), clock, log));
    RETURN_IF_ERROR(gateway->find_predecessor());
    RETURN_IF_ERROR(gateway->open());
    RETURN_IF_ERROR(gateway->take_over());
    RETURN_IF_ERROR(gateway->start_workers());
    RETURN_IF_ERROR(gateway->start_metrics());
    RETURN_IF_ERROR(gateway->start_handover());
    return gateway;
}

Gateway::~Gateway() {
    handover_server_.reset();
    // Its path stays with a predecessor that goes on.
    if (metrics_server_ != nullptr && predecessor_) metrics_server_->release_listener();
    metrics_server_.reset();
    for (const auto& worker : workers_) worker->stop();
    heir_.reset();
    load_reporter_.reset();
    lease_client_.reset();
    feed_.reset();
    delivery_.reset();
    resolver_.reset();
    outbox_.reset();
}

Status Gateway::find_predecessor() {
    const Settings& settings = options_.settings;
    if (!settings.handover_socket.empty()) {
        auto found = net::Predecessor::find(settings.handover_socket);
        RETURN_IF_ERROR(found);
        predecessor_ = std::move(*found);
    }
    if (predecessor_) {
        // One lock in two processes: it is free once both have let go.
        UniqueFd lock = predecessor_->take(kServingLock);
        if (is_serving_lock(lock, settings.outbox_dir)) {
            serving_lock_ = std::move(lock);
            return {};
        }
    }
    auto lock = lock_serving(settings.outbox_dir);
    RETURN_IF_ERROR(lock);
    serving_lock_ = std::move(*lock);
    return {};
}

Status Gateway::open_outbox() {
    OutboxOptions outbox_options;
    outbox_options.dir = options_.settings.outbox_dir;
    outbox_options.ops = options_.outbox_ops;
    auto outbox = open_free_slot(outbox_options, clock_, log_);
    RETURN_IF_ERROR(outbox);
    outbox_ = std::move(*outbox);
    const auto share_ppm = load_share(outbox_->dir());
    RETURN_IF_ERROR(share_ppm);
    leases_ = std::make_unique<LeaseDesk>(clock_, lease_options(options_, *share_ppm));
    return {};
}

Status Gateway::open() {
    const Settings& settings = options_.settings;
    const auto controlplane = net::parse_address(settings.controlplane);
    RETURN_IF_ERROR(controlplane);
    auto tls = net::make_server_context({settings.tls_certificate, settings.tls_key, ""});
    RETURN_IF_ERROR(tls);
    tls_ = std::move(*tls);
    if (settings.upstream_tls) {
        auto upstream_tls = net::make_client_context(*settings.upstream_tls);
        RETURN_IF_ERROR(upstream_tls);
        upstream_tls_ = std::move(*upstream_tls);
    }
    auto peppers = crypto::load_peppers(settings.pepper_file);
    RETURN_IF_ERROR(peppers);
    peppers_ = std::move(*peppers);
    RETURN_IF_ERROR(open_outbox());
    MeterResolverOptions resolver_options = options_.resolver;
    resolver_options.tls = settings.upstream_tls;
    resolver_options.address_of = [this](const controlplane::UsageRecord& record) {
        return address_of(record);
    };
    resolver_ = std::make_unique<MeterResolver>(*outbox_, clock_, log_, resolver_options);
    metrics_.orphans.add(resolve_orphans(*outbox_, *resolver_, log_));
    auto delivery = UsageDelivery::start(*outbox_, *controlplane, log_);
    RETURN_IF_ERROR(delivery);
    delivery_ = std::move(*delivery);
    feed_ = std::make_unique<DirectoryFeed>(directory_, settings.snapshot_file, outbox_->id(),
                                            *controlplane, clock_, log_);
    lease_client_ = std::make_unique<LeaseClient>(*leases_, *outbox_, *delivery_, *resolver_,
                                                  *controlplane, log_);
    load_reporter_ =
        std::make_unique<LoadReporter>(load_, outbox_->id(), *controlplane, clock_, log_);
    OutboxHeirOptions heir_options;
    heir_options.orphans = &metrics_.orphans;
    heir_options.dir = settings.outbox_dir;
    heir_options.own_slot = outbox_->dir();
    heir_options.controlplane = *controlplane;
    heir_options.resolver = std::move(resolver_options);
    heir_ = std::make_unique<OutboxHeir>(std::move(heir_options), clock_, log_);
    return {};
}

// Of the replica that worked on it, as of the newest snapshot; empty when it has none.
std::string Gateway::address_of(const controlplane::UsageRecord& record) const {
    const auto directory = directory_.get();
    if (directory == nullptr) return {};
    const controlplane::ModelRow* model = directory->find_model(record.model, record.org);
    if (model == nullptr) return {};
    const controlplane::EndpointRow* endpoint = directory->find_endpoint(model->endpoint);
    if (endpoint == nullptr) return {};
    for (const controlplane::ReplicaRow& replica : endpoint->replicas) {
        if (replica.id == record.replica) return replica.address;
    }
    return {};
}

bool Gateway::is_warm() const {
    const auto directory = directory_.get();
    const bool has_directory = directory != nullptr && directory->has_route();
    return has_directory && leases_->share().ppm > 0;
}

// Until here nothing of the predecessor's was touched, and an error leaves it as it was.
Status Gateway::take_over() {
    if (!predecessor_) return {};
    const SteadyTime deadline = clock_.steady_now() + kWarmTime;
    while (!is_warm()) {
        if (clock_.steady_now() >= deadline) {
            return Error{
                ErrorCode::kUnavailable,
                "cannot take over: no snapshot and part of the rate limits in time; is the "
                "control plane there?",
                {}};
        }
        std::this_thread::sleep_for(kWarmPoll);
    }
    return predecessor_->say_ready();
}

Status Gateway::start_workers() {
    std::vector<net::NetAddress> wanted;
    const std::vector<std::string>& names = options_.settings.listen;
    for (const std::string& text : names) {
        const auto address = net::parse_address(text);
        RETURN_IF_ERROR(address);
        wanted.push_back(*address);
    }
    const WorkerShared shared{clock_,
                              log_,
                              *tls_,
                              upstream_tls_.get(),
                              *outbox_,
                              *resolver_,
                              *leases_,
                              metrics_,
                              load_,
                              directory_,
                              peppers_,
                              options_.times,
                              options_.settings.durability,
                              options_.settings.controlplane,
                              accounts_,
                              options_.settings.default_limits,
                              options_.heartbeat};
    for (int i = 0; i < num_workers(options_.settings); ++i) {
        auto worker = std::make_unique<Worker>(shared);
        for (std::size_t k = 0; k < wanted.size(); ++k) {
            const std::string& name = names[k];
            UniqueFd given = predecessor_ ? predecessor_->take(name) : UniqueFd();
            auto bound = worker->listen(name, wanted[k], std::move(given));
            RETURN_IF_ERROR(bound);
            wanted[k] = *bound;  // the other workers share the port that the first one was given
        }
        workers_.push_back(std::move(worker));
    }
    addresses_ = std::move(wanted);
    RETURN_IF_ERROR(take_rest());
    for (const auto& worker : workers_) worker->start();
    for (const net::NetAddress& address : addresses_) {
        log_.info("gateway_started", {{"address", to_string(address)},
                                      {"threads", workers_.size()},
                                      {"outbox", outbox_->id()}});
    }
    return {};
}

// A predecessor with more threads has more sockets, and each may have connections waiting.
Status Gateway::take_rest() {
    std::size_t next = 0;
    for (std::size_t k = 0; predecessor_ && k < addresses_.size(); ++k) {
        const std::string& name = options_.settings.listen[k];
        for (UniqueFd given = predecessor_->take(name); given.is_open();
             given = predecessor_->take(name)) {
            Worker& worker = *workers_[next++ % workers_.size()];
            RETURN_IF_ERROR(worker.listen(name, addresses_[k], std::move(given)));
        }
    }
    return {};
}

Status Gateway::start_metrics() {
    if (options_.settings.metrics_listen.empty()) return {};
    const auto address = net::parse_address(options_.settings.metrics_listen);
    RETURN_IF_ERROR(address);
    net::HttpServerOptions server_options;
    server_options.address = *address;
    const auto handler = [this](const net::HttpRequest& request,
                                const std::shared_ptr<net::HttpReply>& reply) {
        net::HttpResponse response;
        response.headers.add("content-type", std::string(MetricsText::kContentType));
        if (request.target == "/metrics") {
            response.body = write_metrics(metrics_, state());
        } else {
            response.status = 404;
            response.body = "expected /metrics\n";
        }
        reply->respond(std::move(response));
    };
    UniqueFd given;
    if (predecessor_)
        given = predecessor_->take(std::string(kMetricsPrefix) + options_.settings.metrics_listen);
    auto server = net::HttpServer::start(server_options, handler, log_, std::move(given));
    RETURN_IF_ERROR(server);
    metrics_server_ = std::move(*server);
    return {};
}

std::optional<net::NetAddress> Gateway::metrics_address() const {
    if (metrics_server_ == nullptr) return std::nullopt;
    return metrics_server_->address();
}

EdgeState Gateway::state() {
    EdgeState state;
    state.num_slots = accounts_.num_slots(leases_->now());
    state.num_holds = static_cast<std::int64_t>(leases_->num_holds());
    state.num_open = static_cast<std::int64_t>(outbox_->num_open());
    state.num_unresolved = static_cast<std::int64_t>(resolver_->num_pending());
    state.num_undelivered = outbox_->next_sequence() - delivery_->delivered_sequence();
    state.share_ppm = leases_->share().ppm;
    state.snapshot_age_s =
        std::chrono::duration<double>(clock_.wall_now() - directory_.contact()).count();
    state.build = options_.build;
    const auto certificate = crypto::read_certificate(options_.settings.tls_certificate);
    if (certificate) {
        state.certificate_left_s =
            std::chrono::duration<double>(certificate->not_after - clock_.wall_now()).count();
    }
    std::error_code failed;
    const auto space = std::filesystem::space(options_.settings.outbox_dir, failed);
    if (!failed) state.outbox_free_bytes = static_cast<std::int64_t>(space.available);
    return state;
}

Status Gateway::start_handover() {
    const std::string& path = options_.settings.handover_socket;
    if (path.empty()) return {};
    UniqueFd given;
    if (predecessor_) {
        given = predecessor_->take(net::HandoverServer::kName);
        RETURN_IF_ERROR(predecessor_->say_serving());
        predecessor_.reset();
    }
    net::HandoverHooks hooks;
    hooks.share = [this] { return share_listeners(); };
    hooks.handed_over = [this] { hand_over(); };
    // It may have begun to write an outbox.
    hooks.go_on = [this] { heir_->look_again(); };
    auto server = net::HandoverServer::start(path, std::move(given), std::move(hooks), log_);
    RETURN_IF_ERROR(server);
    handover_server_ = std::move(*server);
    return {};
}

Result<net::NamedFds> Gateway::share_listeners() const {
    net::NamedFds fds;
    auto lock = net::duplicate(serving_lock_.get());
    RETURN_IF_ERROR(lock);
    fds.push_back({std::string(kServingLock), std::move(*lock)});
    for (const auto& worker : workers_) RETURN_IF_ERROR(worker->share_listeners(fds));
    if (metrics_server_ != nullptr) {
        auto listener = metrics_server_->share_listener();
        RETURN_IF_ERROR(listener);
        fds.push_back(
            {std::string(kMetricsPrefix) + options_.settings.metrics_listen, std::move(*listener)});
    }
    return fds;
}

void Gateway::hand_over() {
    for (const auto& worker : workers_) worker->hand_over();
    if (metrics_server_ != nullptr) metrics_server_->release_listener();
    serving_lock_.reset();
    if (options_.on_handed_over) options_.on_handed_over();
}

bool Gateway::drain() {
    handover_server_.reset();
    log_.info("drain_started");
    const SteadyTime deadline = clock_.steady_now() + options_.settings.drain_time;
    const bool is_handed_over = !serving_lock_.is_open();
    for (const auto& worker : workers_) {
        if (!is_handed_over) worker->drain();
    }
    bool is_idle = true;
    for (const auto& worker : workers_) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_.steady_now());
        is_idle = worker->wait_until_idle(std::max(left, std::chrono::milliseconds(0))) && is_idle;
    }
    for (const auto& worker : workers_) worker->stop();
    const Status flushed = outbox_->flush();
    if (!flushed) log_.error("outbox_failed", {{"reason", flushed.error().message}});
    const bool is_delivered = delivery_->drain(kDeliveryTime);
    const bool has_left = lease_client_->leave(kLeaveTime);
    log_.info("drain_finished", {{"all_requests_finished", is_idle ? "yes" : "no"},
                                 {"all_usage_delivered", is_delivered ? "yes" : "no"},
                                 {"leases_given_back", has_left ? "yes" : "no"}});
    return is_idle && flushed.has_value();
}

}  // namespace turnpike::gateway
