#include "tests/sim/controlplane_world.h"

#include <algorithm>
#include <utility>

#include "config/base/check.h"
#include "controlplane/store/credit.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/replicas.h"

namespace turnpike::sim {

using namespace controlplane;

namespace {

using namespace std::chrono_literals;

constexpr int kNumTicks = 60;
constexpr int kMaxEndpoints = 5;
constexpr const char* kActor = "operator";
const std::vector<HardwareSlots> kHardware = {{"small", 4}, {"big", 8}};

ControlplaneWorld* current = nullptr;  // whose failpoints these are

}  // namespace

void WorldCounts::add(const WorldCounts& other) {
    num_passes += other.num_passes;
    num_crashes += other.num_crashes;
    num_starts += other.num_starts;
    num_requests += other.num_requests;
    num_minutes += other.num_minutes;
    for (std::size_t i = 0; i < passed.size(); ++i) {
        passed[i] += other.passed[i];
        died_at[i] += other.died_at[i];
    }
}

ControlplaneWorld::ControlplaneWorld(std::uint64_t seed, std::string data_dir, bool is_fenced)
    : random_(seed),
      log_(clock_, "controlplane", static_cast<LogLevel>(9)),
      data_dir_(std::move(data_dir)),
      cluster_(random_, is_fenced),
      is_fenced_(is_fenced) {
    CHECK(current == nullptr);
    current = this;
    cluster_.add_host("small", 2);
    cluster_.add_host("small", 2);
    cluster_.add_host("big", 4);
    cluster_.add_host("big", 4);
    open_store();
    make_accounts();
    open_control_plane();
    handle_failpoints([](Failpoint point) { current->pass_point(point); });
}

ControlplaneWorld::~ControlplaneWorld() {
    handle_failpoints(nullptr);
    current = nullptr;
}

void ControlplaneWorld::pass_point(Failpoint point) {
    const auto index = static_cast<std::size_t>(point);
    ++counts_.passed[index];
    if (is_calm_ || pick(25) != 0) return;
    ++counts_.died_at[index];
    throw Crash{};
}

void ControlplaneWorld::maybe_crash(int one_in) {
    if (!is_calm_ && pick(one_in) == 0) throw Crash{};
}

void ControlplaneWorld::open_store() {
    store_.reset();
    auto opened = Store::open(data_dir_, clock_, log_);
    CHECK(opened.has_value());
    store_ = std::move(*opened);
}

// A control plane that starts: nothing is known but what the store and the cluster say.
void ControlplaneWorld::open_control_plane() {
    SimDriver::Hooks hooks;
    hooks.crash = [this] { maybe_crash(60); };
    hooks.hardware_of = [this](const ReplicaId& id) {
        const auto all = endpoints();
        return endpoint_of(all, id)->hardware;
    };
    hooks.on_start = [this](const ReplicaId& id) { check_start(id); };
    hooks.rows = [this]() -> std::vector<Replica> {
        return is_fenced_ ? std::vector<Replica>() : rows();
    };
    if (driver_ == nullptr)
        driver_ = std::make_unique<SimDriver>(cluster_, clock_, random_, std::move(hooks));
    ReconcileOptions options;
    options.models["model"] = ServedModel{"/card", "/model", 0};
    options.hardware = kHardware;
    options.scaling.standard.target_in_flight = 2;
    options.scaling.standard.down_window = 60s;
    options.scaling.standard.idle_window = 120s;
    options.probe = [this](const ReplicaId& id, const std::string&) {
        const bool is_lost = !is_calm_ && pick(20) == 0;
        EngineAnswer answer;
        answer.answer = is_lost ? Answer::kNone : cluster_.answer_of(id, now());
        return answer;
    };
    options.loads = [this](WallTime) -> std::optional<std::vector<EndpointLoad>> {
        if (!is_calm_ && pick(6) == 0) return std::nullopt;
        return loads();
    };
    pass_ = std::make_unique<ReconcilePass>(std::move(options), *store_, *driver_, metrics_, clock_,
                                            log_);
}

void ControlplaneWorld::make_accounts() {
    for (const char* name : {"rich", "poor"}) {
        const Organisation org = create_organisation(*store_, name, now()).value();
        orgs_.push_back(org.id);
        const NanoUsd amount(name == std::string("rich") ? 1'000'000'000'000 : 100'000'000);
        CHECK(add_credit(*store_, {org.id, amount, "", "k", CreditKind::kAdd}, now()).has_value());
    }
}

void ControlplaneWorld::create_endpoint() {
    const int number = ++num_created_;
    NewEndpoint request;
    request.actor = kActor;
    request.idempotency_key = std::to_string(number);
    request.wanted.id = EndpointId("endpoint-" + std::to_string(100'000'000'000 + number));
    request.wanted.name = "e" + std::to_string(number);
    request.wanted.model = "model";
    request.wanted.hardware = kHardware[static_cast<std::size_t>(pick(2))].hardware;
    request.wanted.owner = orgs_[static_cast<std::size_t>(pick(2))];
    request.wanted.type = pick(4) == 0 ? EndpointType::kServerless : EndpointType::kDedicated;
    const int most = 1 + pick(4);
    request.wanted.autoscaling = {pick(most + 1), most};
    request.wanted.inactive_timeout_minutes = pick(3) == 0 ? 5 : 0;
    request.published.emplace();
    request.published->served_model = "model";
    request.price.per_minute_nano_usd = NanoUsd(10'000'000);
    const auto made = controlplane::create_endpoint(*store_, request, now());
    CHECK(made.has_value());
    // The answer was lost, so it is asked for again.
    if (pick(3) == 0)
        CHECK(controlplane::create_endpoint(*store_, request, now()).value().id == made->id);
}

void ControlplaneWorld::change_endpoint() {
    const auto all = list_endpoints(*store_, std::nullopt).value();
    if (all.empty()) return;
    const Endpoint& chosen = all[static_cast<std::size_t>(pick(static_cast<int>(all.size())))];
    EndpointChange change;
    switch (pick(7)) {
        case 0:
            change.desired = DesiredState::kStopped;
            break;
        case 1:
        case 2:
            change.desired = DesiredState::kStarted;
            break;
        case 3: {
            const int most = 1 + pick(4);
            change.autoscaling = Autoscaling{pick(most + 1), most};
            break;
        }
        case 4:
            change.restart = true;
            break;
        case 5:
            if (pick(2) == 0) CHECK(delete_endpoint(*store_, chosen.id, kActor, now()).has_value());
            return;
        default:
            load_[chosen.id] = pick(12);
            return;
    }
    CHECK(update_endpoint(*store_, chosen.id, change, kActor, now()).has_value());
}

std::vector<EndpointLoad> ControlplaneWorld::loads() const {
    std::vector<EndpointLoad> all;
    for (const auto& [id, num] : load_) {
        EndpointLoad load;
        load.endpoint = id;
        load.num_in_flight = num;
        all.push_back(load);
    }
    return all;
}

std::vector<Endpoint> ControlplaneWorld::endpoints() const {
    return list_wanted_endpoints(*store_).value();
}

std::vector<Replica> ControlplaneWorld::rows() const {
    return list_replicas(*store_, std::nullopt).value();
}

const Endpoint* ControlplaneWorld::endpoint_of(const std::vector<Endpoint>& all,
                                               const ReplicaId& id) const {
    for (const Endpoint& endpoint : all) {
        if (endpoint.id.value() == "endpoint-" + id.value().substr(0, 12)) return &endpoint;
    }
    return nullptr;
}

void ControlplaneWorld::fail(const std::string& what) {
    if (fault_.empty()) fault_ = what + " at " + format_rfc3339(now());
}

// FNV-1a.
void ControlplaneWorld::mix(std::string_view text) {
    for (const char c : text)
        trace_ = (trace_ ^ static_cast<unsigned char>(c)) * std::uint64_t{1099511628211};
}

void ControlplaneWorld::disturb() {
    if (num_created_ < kMaxEndpoints && pick(6) == 0) create_endpoint();
    if (pick(3) == 0) change_endpoint();
    if (pick(4) == 0) cluster_.hurt_process();
    if (pick(12) == 0) cluster_.hurt_host(now());
    if (pick(3) == 0) driver_->deliver();
}

void ControlplaneWorld::live_a_while() {
    const int kind = pick(12);
    clock_.advance(kind == 0 ? 1s * pick(400) : kind < 4 ? 1s * pick(15) : 100ms * pick(10));
    cluster_.advance(now());
    disturb();
}

void ControlplaneWorld::note_ready(std::set<Minute>& minutes) const {
    const auto all = endpoints();
    const std::int64_t minute =
        std::chrono::floor<std::chrono::minutes>(now().time_since_epoch()).count();
    for (const Replica& row : rows()) {
        const Endpoint* endpoint = endpoint_of(all, row.id);
        if (row.state != ReplicaState::kReady || endpoint == nullptr) continue;
        if (endpoint->type != EndpointType::kDedicated) continue;
        if (cluster_.answer_of(row.id, now()) != Answer::kReady) continue;
        minutes.emplace(endpoint->id.value(), row.index, minute);
    }
}

bool ControlplaneWorld::pass() {
    bool is_settling = true;
    const auto before = endpoints();
    std::set<Minute> ready;
    note_ready(ready);
    may_be_booked_.insert(ready.begin(), ready.end());
    ++counts_.num_passes;
    try {
        is_settling = pass_->run(false, [] { return false; }).is_settling;
        check_edges(before);
        if (is_calm_) must_be_booked_.insert(ready.begin(), ready.end());
    } catch (const Crash&) {
        ++counts_.num_crashes;
        // Now and then it is away for a while, and its databases are opened anew.
        if (pick(8) == 0) {
            clock_.advance(1s * pick(30));
            cluster_.advance(now());
            open_store();
        }
        open_control_plane();
    }
    check_rows();
    check_routes();
    return is_settling;
}

void ControlplaneWorld::check_edges(const std::vector<Endpoint>& before) {
    const auto after = endpoints();
    for (const Endpoint& was : before) {
        const auto is = std::find_if(after.begin(), after.end(),
                                     [&](const Endpoint& one) { return one.id == was.id; });
        if (is == after.end() || is->state == was.state || is_edge(was.state, is->state)) continue;
        fail("endpoint " + was.name + " went from " + std::string(to_string(was.state)) + " to " +
             std::string(to_string(is->state)));
    }
}

void ControlplaneWorld::check_rows() {
    for (const Replica& row : rows()) {
        Epoch& highest = highest_[row.id];
        if (row.epoch < highest) fail("the epoch of " + row.id.value() + " went back");
        highest = row.epoch;
        mix(row.id.value());
        mix(to_string(row.state));
    }
    for (const std::string& name : cluster_.doubles()) fail("two processes serve as " + name);
}

// What the manager shows of the endpoint, with this start.
void ControlplaneWorld::check_start(const ReplicaId& id) {
    ++counts_.num_starts;
    const auto all = endpoints();
    const Endpoint& endpoint = *endpoint_of(all, id);
    int num_live = 0;
    bool has_old = false;
    for (const Replica& row : rows()) {
        const Process* process = cluster_.find(row.id);
        const bool is_live = row.endpoint == endpoint.id && process != nullptr &&
                             process->is_alive && !process->is_lost;
        num_live += is_live ? 1 : 0;
        has_old = has_old || (is_live && row.generation != endpoint.rollout);
    }
    const int most = endpoint.autoscaling.max_replicas + (has_old ? 1 : 0);
    if (num_live > most)
        fail(endpoint.name + " has " + std::to_string(num_live) + " replicas of at most " +
             std::to_string(most));
}

// Each gateway sends a request to every replica that it knows of; what it knows may be old.
void ControlplaneWorld::check_routes() {
    for (std::vector<Route>& routes : gateways_) {
        if (is_calm_ || pick(3) != 0) {
            routes.clear();
            for (const Replica& row : rows()) {
                if (row.state == ReplicaState::kReady)
                    routes.push_back({row.id, row.epoch, driver_->num_starts(row.id)});
            }
        }
        for (const Route& route : routes) {
            const auto served = cluster_.serve(route.id, route.epoch, now());
            counts_.num_requests += served.empty() ? 0 : 1;
            for (const int number : served) {
                if (number < route.start_number)
                    fail("start " + std::to_string(number) + " of " + route.id.value() +
                         " was given up for start " + std::to_string(route.start_number) +
                         " and served again");
            }
        }
    }
}

// Until nothing changes any more.
bool ControlplaneWorld::settle() {
    constexpr int kMaxPasses = 2'000;
    constexpr int kQuietPasses = 5;
    std::uint64_t last = 0;
    int num_same = 0;
    int num_quiet = 0;
    for (int i = 0; i < kMaxPasses && fault_.empty(); ++i) {
        // What hangs is given its time, which need not be watched second by second.
        clock_.advance(num_same > 20 ? 15s : 1s);
        cluster_.advance(now());
        trace_ = 0;
        const bool is_settling = pass();
        for (const Endpoint& endpoint : endpoints()) {
            mix(endpoint.id.value());
            mix(to_string(endpoint.state));
            mix(endpoint.reason);
        }
        num_same = trace_ == last ? num_same + 1 : 0;
        num_quiet = is_settling || num_same == 0 ? 0 : num_quiet + 1;
        last = trace_;
        if (num_quiet == kQuietPasses) return true;
    }
    return false;
}

void ControlplaneWorld::check_reached() {
    std::map<std::string, int> free;
    for (const HardwareSlots& slots : kHardware) free[slots.hardware] = slots.num_slots;
    std::set<ReplicaId> known;
    std::vector<std::string> waiting;
    const auto all = endpoints();
    const auto replicas = rows();
    for (const Endpoint& endpoint : all) {
        const bool is_wanted = endpoint.desired == DesiredState::kStarted && !endpoint.is_deleted;
        const int target =
            is_wanted ? std::clamp(endpoint.target_replicas, endpoint.autoscaling.min_replicas,
                                   endpoint.autoscaling.max_replicas)
                      : 0;
        int num_ready = 0;
        int num_current = 0;
        for (const Replica& row : replicas) {
            if (row.endpoint != endpoint.id) continue;
            const Process* process = cluster_.find(row.id);
            if (process == nullptr || !process->is_alive) continue;
            known.insert(row.id);
            // One that waits for a slot has none.
            free[endpoint.hardware] -= process->host >= 0 ? 1 : 0;
            num_ready += row.state == ReplicaState::kReady && process->epoch == row.epoch ? 1 : 0;
            num_current += row.generation == endpoint.rollout ? 1 : 0;
        }
        if (num_ready > target) fail(endpoint.name + " has more replicas than are wanted");
        if (num_ready < target || num_current < target) waiting.push_back(endpoint.hardware);
        const EndpointState expected = !is_wanted                     ? EndpointState::kStopped
                                       : target == 0 || num_ready > 0 ? EndpointState::kStarted
                                                                      : EndpointState::kPending;
        if (endpoint.state != expected)
            fail(endpoint.name + " is " + std::string(to_string(endpoint.state)) + ", not " +
                 std::string(to_string(expected)));
    }
    for (const std::string& hardware : waiting) {
        if (free[hardware] > 0) fail("a slot of " + hardware + " is free, and a replica waits");
    }
    for (const Process& process : cluster_.processes()) {
        if (process.is_alive && !known.contains(process.id))
            fail(process.id.value() + " is an orphan");
    }
    if (!list_open_steps(*store_).value().empty() && counts_.num_crashes == 0)
        fail("a step is open and nothing crashed");
}

const std::string& ControlplaneWorld::run() {
    create_endpoint();
    for (int i = 0; i < kNumTicks && fault_.empty(); ++i) {
        live_a_while();
        pass();
    }
    is_calm_ = true;
    driver_->calm();
    cluster_.calm(now());
    const std::uint64_t chaos = trace_;
    if (!settle() && fault_.empty()) fail("it does not come to rest");
    mix(std::to_string(chaos));
    if (fault_.empty()) check_reached();
    if (fault_.empty()) check_books();
    return fault_;
}

}  // namespace turnpike::sim
