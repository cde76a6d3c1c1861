// A control plane and a gateway at size: the parts of an idle reconcile pass over many endpoints, a
// snapshot delta from commit to directory, and the check of a key among many. Engines are asked by
// a stub that answers at once; the time that real ones take comes to a pass.
// bench_scale DIRECTORY [endpoints] [keys]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "config/base/check.h"
#include "config/crypto/identifiers.h"
#include "config/crypto/pepper.h"
#include "controlplane/run/minute_billing.h"
#include "controlplane/run/observe.h"
#include "controlplane/run/scaling.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/keys.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/replicas.h"
#include "controlplane/store/store.h"
#include "gateway/edge/auth.h"
#include "gateway/policy/directory.h"

namespace turnpike {
namespace {

using namespace controlplane;

constexpr int kRounds = 15;

template <class Work>
double median_ms(Work work) {
    std::vector<double> times;
    for (int i = 0; i < kRounds; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        work();
        const std::chrono::duration<double, std::milli> time =
            std::chrono::steady_clock::now() - begin;
        times.push_back(time.count());
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

// A process for every replica that was started.
class StubDriver final : public Driver {
  public:
    Result<std::string> address_of(const ReplicaId& id) const override {
        return "unix:/r/" + id.value();
    }

    Status start(const ReplicaSpec& spec) override {
        ObservedProcess process;
        process.id = spec.id;
        process.epoch = spec.epoch;
        process.is_running = true;
        processes_.push_back(std::move(process));
        return {};
    }

    Status stop(const ReplicaId&, StopHow) override { return {}; }

    Result<std::vector<ObservedProcess>> list() override { return processes_; }

  private:
    std::vector<ObservedProcess> processes_;
};

class Scale {
  public:
    Scale(const std::string& dir, int num_endpoints, int num_keys)
        : log_(clock_, "bench", LogLevel::kError) {
        auto store = Store::open(dir + "/data", clock_, log_);
        CHECK(store.has_value());
        store_ = std::move(*store);
        CHECK(crypto::create_pepper_file(dir + "/peppers").has_value());
        peppers_ = crypto::load_peppers(dir + "/peppers").value();
        org_ = create_organisation(*store_, "acme", clock_.wall_now()).value().id;
        for (int i = 0; i < num_endpoints; ++i) add_endpoint(i);
        for (int i = 0; i < num_keys; ++i) {
            auto made = create_key(*store_, peppers_, org_, "key", clock_.wall_now()).value();
            secrets_.push_back(std::string(made.secret.reveal()));
            ids_.push_back(made.key.id);
        }
    }

    void run() {
        pass();
        delta();
        check();
    }

  private:
    void add_endpoint(int number) {
        const WallTime now = clock_.wall_now();
        NewEndpoint request;
        request.wanted.name = "acme/model-" + std::to_string(number);
        request.wanted.model = "m";
        request.wanted.hardware = "h";
        request.wanted.owner = org_;
        request.wanted.autoscaling = {1, 4};
        const Endpoint endpoint = create_endpoint(*store_, request, now).value();
        const ReplicaId id = replica_id_of(endpoint.id, 1, 0);
        const auto row = begin_replica_start(
            *store_, {id, endpoint.id, 0, 1, driver_.address_of(id).value()}, now);
        CHECK(row.has_value());
        CHECK(driver_.start({id, row->epoch, "", "", 0}).has_value());
        CHECK(set_replica_state(*store_, {id, row->epoch, ReplicaState::kReady, "", 0}, now)
                  .has_value());
        CHECK(
            set_endpoint_state(*store_, endpoint.id, EndpointState::kStarted, "", now).has_value());
        loads_.push_back({endpoint.id, 1, 0, 0});
    }

    void pass() {
        Scaling scaling(
            {}, [this](WallTime) { return std::optional(loads_); }, *store_, metrics_, log_);
        MinuteBilling billing(NanoUsd(1'000'000'000'000), *store_, metrics_, log_);
        const auto probe = [](const ReplicaId&, const std::string&) {
            return EngineAnswer{Answer::kReady, "", 0.1};
        };
        std::size_t num_actions = 0;
        Result<Observed> observed = observe(*store_, driver_, probe, 16);
        Result<Desired> desired = read_desired(*store_, {{"h", 1'000'000}}, false);
        const double observing =
            median_ms([&] { observed = observe(*store_, driver_, probe, 16); });
        const double reading = median_ms([&] {
            desired = read_desired(*store_, {{"h", 1'000'000}}, false);
        });
        const double deciding = median_ms([&] {
            const WallTime now = clock_.wall_now();
            billing.run(*desired, *observed, now);
            scaling.run(*desired, *observed, now);
            num_actions += reconcile(*desired, *observed, now).actions.size();
        });
        std::printf("idle pass: %.1f ms (observe %.1f, read %.1f, decide %.1f), %zu actions\n",
                    observing + reading + deciding, observing, reading, deciding, num_actions);
    }

    // From a committed change to a directory that has it.
    void delta() {
        auto text = store_->snapshot_json("", 0);
        auto snapshot = parse_snapshot(*text).value();
        std::size_t next = 0;
        directory_ = gateway::Directory().apply(snapshot).value();
        double writing = 0.0;
        double parsing = 0.0;
        const double applying = median_ms([&] {
            CHECK(revoke_key(*store_, ids_[next++], clock_.wall_now()).has_value());
            const auto begin = std::chrono::steady_clock::now();
            text = store_->snapshot_json(store_->store_id(), directory_.revision());
            const auto written = std::chrono::steady_clock::now();
            snapshot = parse_snapshot(*text).value();
            const auto parsed = std::chrono::steady_clock::now();
            directory_ = directory_.apply(snapshot).value();
            const auto end = std::chrono::steady_clock::now();
            using Ms = std::chrono::duration<double, std::milli>;
            writing = Ms(written - begin).count();
            parsing = Ms(parsed - written).count();
            applied_.push_back(Ms(end - begin).count());
        });
        std::sort(applied_.begin(), applied_.end());
        std::printf("snapshot delta: %.2f ms (write %.2f, parse %.2f); with its commit %.2f\n",
                    applied_[applied_.size() / 2], writing, parsing, applying);
    }

    void check() {
        gateway::Authenticator authenticator(peppers_);
        std::mt19937 random(1);
        std::vector<std::string> headers;
        constexpr int kChecks = 50'000;
        for (int i = 0; i < kChecks; ++i)
            headers.push_back("Bearer " +
                              secrets_[kRounds + random() % (secrets_.size() - kRounds)]);
        int num_found = 0;
        const double ms = median_ms([&] {
            for (const std::string& header : headers)
                num_found +=
                    authenticator.authenticate(header, directory_, clock_.wall_now()).has_value();
        });
        CHECK(num_found == kChecks * kRounds);
        std::printf("key check: %.2f us\n", ms * 1e3 / kChecks);
    }

    SystemClock clock_;
    Log log_;
    std::unique_ptr<Store> store_;
    crypto::Peppers peppers_;
    OrgId org_;
    StubDriver driver_;
    std::vector<EndpointLoad> loads_;
    LoopMetrics metrics_;
    std::vector<std::string> secrets_;
    std::vector<KeyId> ids_;
    gateway::Directory directory_;
    std::vector<double> applied_;
};

}  // namespace
}  // namespace turnpike

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: bench_scale DIRECTORY [endpoints] [keys]\n");
        return 2;
    }
    const std::string dir = std::string(argv[1]) + "/scale";
    std::filesystem::remove_all(dir);
    std::filesystem::create_directories(dir);
    const int num_endpoints = argc > 2 ? std::atoi(argv[2]) : 1'000;
    const int num_keys = argc > 3 ? std::atoi(argv[3]) : 100'000;
    std::printf("%d endpoints with a replica each, %d keys\n", num_endpoints, num_keys);
    turnpike::Scale(dir, num_endpoints, num_keys).run();
    std::filesystem::remove_all(dir);
}
