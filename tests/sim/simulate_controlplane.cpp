// Many seeds of the control plane's simulation, with a table of how often each failpoint was passed
// and died at. The first seed that fails is printed, and the same seed replays it.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tests/sim/controlplane_world.h"
#include "tests/support/temp_dir.h"

namespace turnpike::sim {
namespace {

struct Flags {
    std::uint64_t first = 1;
    std::uint64_t num_seeds = 10'000;
    bool has_no_fence = false;
};

void print_points(const WorldCounts& counts) {
    std::printf("\n%-34s %12s %10s\n", "failpoint", "passes", "crashes");
    for (std::size_t i = 0; i < counts.passed.size(); ++i) {
        if (counts.passed[i] == 0) continue;
        const std::string name(to_string(static_cast<Failpoint>(i)));
        std::printf("%-34s %12lld %10lld\n", name.c_str(), static_cast<long long>(counts.passed[i]),
                    static_cast<long long>(counts.died_at[i]));
    }
}

void print_counts(const WorldCounts& counts) {
    const auto print = [](const char* name, std::int64_t count) {
        std::printf("%-34s %12lld\n", name, static_cast<long long>(count));
    };
    print("passes", counts.num_passes);
    print("crashes of the control plane", counts.num_crashes);
    print("replicas started", counts.num_starts);
    print("requests served", counts.num_requests);
    print("minutes paid", counts.num_minutes);
}

int run(const Flags& flags) {
    WorldCounts counts;
    const test::TempDir parent;
    for (std::uint64_t seed = flags.first; seed < flags.first + flags.num_seeds; ++seed) {
        const std::string dir = parent.file("store");
        std::filesystem::remove_all(dir);
        std::filesystem::create_directory(dir);
        ControlplaneWorld world(seed, dir, !flags.has_no_fence);
        const std::string fault = world.run();
        counts.add(world.counts());
        if (!fault.empty()) {
            std::printf("seed %llu: %s\nrepeat with --first %llu --seeds 1%s\n",
                        static_cast<unsigned long long>(seed), fault.c_str(),
                        static_cast<unsigned long long>(seed),
                        flags.has_no_fence ? " --no-fence" : "");
            return 1;
        }
        if ((seed - flags.first + 1) % 500 == 0)
            std::fprintf(stderr, "%llu seeds\n",
                         static_cast<unsigned long long>(seed - flags.first + 1));
    }
    std::printf("seeds %llu to %llu: each became what was asked\n\n",
                static_cast<unsigned long long>(flags.first),
                static_cast<unsigned long long>(flags.first + flags.num_seeds - 1));
    print_counts(counts);
    print_points(counts);
    return 0;
}

}  // namespace
}  // namespace turnpike::sim

int main(int argc, char** argv) {
    turnpike::sim::Flags flags;
    CLI::App app("Simulates the control plane over a cluster that fails.");
    app.add_option("--first", flags.first, "the first seed (1)");
    app.add_option("--seeds", flags.num_seeds, "how many (10000)");
    app.add_flag("--no-fence", flags.has_no_fence, "nobody looks at epochs: this must fail");
    CLI11_PARSE(app, argc, argv);
    return turnpike::sim::run(flags);
}
