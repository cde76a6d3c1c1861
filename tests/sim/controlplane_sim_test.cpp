// A short run of the control plane's simulation: see controlplane_world.h. TURNPIKE_TEST_SEED
// replays one seed; ops/simulate runs thousands.
#include <gtest/gtest.h>

#include "tests/sim/controlplane_world.h"
#include "tests/support/temp_dir.h"

namespace turnpike::sim {
namespace {

struct Outcome {
    std::string fault;
    std::uint64_t trace = 0;
    WorldCounts counts;
};

Outcome simulate(std::uint64_t seed, bool is_fenced) {
    const test::TempDir dir;
    ControlplaneWorld world(seed, dir.path().string(), is_fenced);
    const std::string fault = world.run();
    return {fault, world.trace(), world.counts()};
}

TEST(ControlplaneSimulation, BecomesWhatWasAskedWhateverHappens) {
    const test::SeededRandom first(1);
    WorldCounts counts;
    for (std::uint64_t seed = first.seed(); seed < first.seed() + 60; ++seed) {
        const Outcome outcome = simulate(seed, true);
        ASSERT_EQ(outcome.fault, "") << "repeat with TURNPIKE_TEST_SEED=" << seed;
        counts.add(outcome.counts);
    }
    EXPECT_GT(counts.num_crashes, 100);
    EXPECT_GT(counts.num_requests, 100);
    EXPECT_GT(counts.num_minutes, 100);
}

TEST(ControlplaneSimulation, ASeedReplays) {
    const Outcome once = simulate(7, true);
    const Outcome again = simulate(7, true);
    EXPECT_EQ(once.trace, again.trace);
    EXPECT_EQ(once.counts.num_passes, again.counts.num_passes);
    EXPECT_NE(once.trace, simulate(8, true).trace);
}

TEST(ControlplaneSimulation, WithoutTheFenceAReplicaThatWasGivenUpServesAgain) {
    std::string fault;
    for (std::uint64_t seed = 1; seed < 200 && fault.empty(); ++seed)
        fault = simulate(seed, false).fault;
    EXPECT_NE(fault, "") << "nobody would notice if epochs were ignored";
}

}  // namespace
}  // namespace turnpike::sim
