// Times the ingest of usage: JSON batches of 512 records from several gateways at once, until they
// are durable, and until they are in the ledger too. Writes JSON with the file system's type and
// SQLite's PRAGMA synchronous, since a rate without them says nothing.
// bench_ingest DIRECTORY [seconds] [gateways]
#include <sys/vfs.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "config/base/check.h"
#include "config/base/limits.h"
#include "config/crypto/identifiers.h"
#include "controlplane/store/credit.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/ledger.h"
#include "controlplane/store/models.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/sqlite.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

constexpr int kNumOrganisations = 16;

// Magic numbers of statfs(2).
std::string file_system_of(const std::string& dir) {
    constexpr std::array<std::pair<long, const char*>, 6> kKnown{{{0xEF53, "ext4"},
                                                                  {0x58465342, "xfs"},
                                                                  {0x9123683E, "btrfs"},
                                                                  {0x01021994, "tmpfs"},
                                                                  {0x794C7630, "overlayfs"},
                                                                  {0x2FC12FC1, "zfs"}}};

    struct statfs info {};

    CHECK(::statfs(dir.c_str(), &info) == 0);
    for (const auto& [magic, name] : kKnown) {
        if (magic == info.f_type) return name;
    }
    return "type " + std::to_string(info.f_type);
}

std::int64_t synchronous_of(const std::string& path) {
    const auto file = Database::open(path, Database::Access::kWrite);
    CHECK(file.has_value());
    Statement row = (*file)->prepare("PRAGMA synchronous");
    CHECK(row.step());
    return row.integer(0);
}

struct World {
    std::vector<OrgId> orgs;
    std::int64_t price_version = 0;
};

World make_world(Store& store, WallTime now) {
    World world;
    for (int i = 0; i < kNumOrganisations; ++i) {
        const auto org = create_organisation(store, "org" + std::to_string(i), now);
        CHECK(org.has_value());
        world.orgs.push_back(org->id);
    }
    NewEndpoint request;
    request.wanted.name = "bench/pool";
    request.wanted.owner = world.orgs[0];
    const auto endpoint = create_endpoint(store, request, now);
    CHECK(endpoint.has_value());
    ModelName name;
    name.name = "deepseek-ai/DeepSeek-R1";
    name.endpoint = endpoint->id;
    name.context_length = 163'840;
    const Price price{0, NanoUsd(3000), NanoUsd(3000), NanoUsd(7000), NanoUsd()};
    const auto model = put_model_name(store, name, price, now);
    CHECK(model.has_value());
    world.price_version = model->price.version;
    return world;
}

std::string make_batch(const World& world, std::int64_t first, WallTime now) {
    UsageBatch batch{"outbox", first, {}};
    for (std::size_t i = 0; i < limits::kMaxUsageBatch; ++i) {
        UsageRecord record;
        record.request_id = crypto::new_request_id(now);
        record.org = world.orgs[i % world.orgs.size()];
        record.key = KeyId("key_01j0000000000000000000000");
        record.model = "deepseek-ai/DeepSeek-R1";
        record.served_model = "deepseek-ai/DeepSeek-R1-0528";
        record.endpoint = EndpointId("endpoint-8ab7d7f0-0000-4000-8000-000000000000");
        record.replica = ReplicaId("endpoint-8ab7d7f0-1-0");
        record.epoch = Epoch(1);
        record.price_version = world.price_version;
        record.usage = {1200, 0, 2300, 2000};
        record.opened_at = now;
        record.closed_at = now;
        batch.records.push_back(std::move(record));
    }
    return write_usage_batch(batch);
}

// Delivers until `end`, one batch at a time, as a gateway does. Making a batch is the gateway's
// work and not timed: it is made before, in turns.
void deliver(Store& store,
             const std::vector<std::string>& batches,
             const Clock& clock,
             SteadyTime end,
             std::atomic<std::int64_t>& num_durable) {
    for (const std::string& text : batches) {
        if (clock.steady_now() >= end) return;
        auto batch = parse_usage_batch(text);
        CHECK(batch.has_value());
        const auto result = store.ingest_and_wait(std::move(*batch));
        CHECK(result.has_value());
        num_durable += limits::kMaxUsageBatch;
    }
}

double seconds_since(SteadyTime start, const Clock& clock) {
    return std::chrono::duration<double>(clock.steady_now() - start).count();
}

int run(const std::string& parent, int seconds, int num_gateways) {
    const SystemClock clock;
    Log log(clock, "bench", LogLevel::kError);
    const std::string dir = parent + "/bench-ingest-data";
    std::filesystem::remove_all(dir);
    auto store = Store::open(dir, clock, log);
    CHECK(store.has_value());
    const World world = make_world(**store, clock.wall_now());
    // More than any disk takes in the time.
    constexpr int kBatchesPerSecond = 100;
    std::vector<std::vector<std::string>> batches(static_cast<std::size_t>(num_gateways));
    for (int i = 0; i < seconds * kBatchesPerSecond; ++i) {
        for (auto& of_one : batches) of_one.push_back(make_batch(world, i, clock.wall_now()));
    }
    std::atomic<std::int64_t> num_durable{0};
    const SteadyTime start = clock.steady_now();
    const SteadyTime end = start + std::chrono::seconds(seconds);
    std::vector<std::thread> gateways;
    for (const auto& of_one : batches) {
        gateways.emplace_back([&] { deliver(**store, of_one, clock, end, num_durable); });
    }
    for (std::thread& gateway : gateways) gateway.join();
    const double durable_s = seconds_since(start, clock);
    CHECK((*store)->wait_until_posted().has_value());
    const double posted_s = seconds_since(start, clock);
    const auto statement = billing_statement(**store, std::nullopt);
    CHECK(statement.has_value() && statement->agrees);
    const std::string month = format_rfc3339(clock.wall_now()).substr(0, 7);
    const auto total = static_cast<double>(num_durable.load());
    std::cout << json{{"file_system", file_system_of(dir)},
                      {"synchronous", synchronous_of(dir + "/usage-" + month + ".db")},
                      {"cores", std::thread::hardware_concurrency()},
                      {"gateways", num_gateways},
                      {"records_per_batch", limits::kMaxUsageBatch},
                      {"events", num_durable.load()},
                      {"durable_per_s", total / durable_s},
                      {"posted_per_s", total / posted_s}}
                     .dump(2)
              << "\n";
    store->reset();
    std::filesystem::remove_all(dir);
    return 0;
}

}  // namespace
}  // namespace turnpike::controlplane

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: bench_ingest DIRECTORY [seconds] [gateways]\n";
        return 2;
    }
    const int seconds = argc > 2 ? std::atoi(argv[2]) : 5;
    const int num_gateways = argc > 3 ? std::atoi(argv[3]) : 4;
    return turnpike::controlplane::run(argv[1], seconds, num_gateways);
}
