// The choice of a replica and the count of what is in flight.
#include "gateway/policy/routing.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/support/random.h"

namespace turnpike::gateway {
namespace {

using controlplane::ReplicaRow;

std::vector<ReplicaRow> replicas(int count) {
    std::vector<ReplicaRow> rows;
    for (int i = 0; i < count; ++i) {
        rows.push_back({ReplicaId("r" + std::to_string(i)), "unix:/r", Epoch(1)});
    }
    return rows;
}

TEST(Routing, NothingToChooseFrom) {
    const InFlight in_flight;
    EXPECT_EQ(choose_replica({}, in_flight, 1, nullptr), nullptr);
    const auto one = replicas(1);
    EXPECT_EQ(choose_replica(one, in_flight, 1, &one[0].id), nullptr);
    EXPECT_EQ(choose_replica(one, in_flight, 99, nullptr), &one[0]);
}

TEST(Routing, OfTwoTheLessLoadedIsAlwaysTaken) {
    const auto two = replicas(2);
    InFlight in_flight;
    const auto token = in_flight.begin(two[0].id);
    test::SeededRandom random(7);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(choose_replica(two, in_flight, random.next(), nullptr), &two[1]);
        EXPECT_EQ(choose_replica(two, in_flight, random.next(), &two[1].id), &two[0]);
    }
}

TEST(Routing, EqualReplicasShareEvenlyAndLoadStaysLevel) {
    const auto rows = replicas(5);
    test::SeededRandom random(11);
    SCOPED_TRACE(random.replay());
    InFlight idle;
    std::map<std::string, int> chosen;
    for (int i = 0; i < 5000; ++i) {
        ++chosen[choose_replica(rows, idle, random.next(), nullptr)->id.value()];
    }
    for (const auto& [id, count] : chosen) EXPECT_NEAR(count, 1000, 150) << id;
    EXPECT_EQ(chosen.size(), 5U);
    InFlight busy;
    std::vector<InFlight::Token> tokens;
    for (int i = 0; i < 500; ++i) {
        tokens.push_back(busy.begin(choose_replica(rows, busy, random.next(), nullptr)->id));
    }
    for (const auto& row : rows) EXPECT_NEAR(busy.count(row.id), 100, 6);
}

TEST(Routing, TokensCountWhileTheyLive) {
    InFlight in_flight;
    const ReplicaId id("r");
    {
        auto first = in_flight.begin(id);
        const auto second = in_flight.begin(id);
        EXPECT_EQ(in_flight.count(id), 2);
        const auto moved = std::move(first);
        EXPECT_EQ(in_flight.count(id), 2);
    }
    EXPECT_EQ(in_flight.count(id), 0);
}

}  // namespace
}  // namespace turnpike::gateway
