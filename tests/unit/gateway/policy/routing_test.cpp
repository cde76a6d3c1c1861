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

const ReplicaRow* choose(const std::vector<ReplicaRow>& rows,
                         const InFlight& in_flight,
                         std::uint64_t random,
                         const ReplicaId* excluded,
                         std::uint64_t prefix = 0) {
    return choose_replica(rows, in_flight, Outliers(), {random, prefix, excluded, SteadyTime()});
}

TEST(Routing, NothingToChooseFrom) {
    const InFlight in_flight;
    EXPECT_EQ(choose({}, in_flight, 1, nullptr), nullptr);
    const auto one = replicas(1);
    EXPECT_EQ(choose(one, in_flight, 1, &one[0].id), nullptr);
    EXPECT_EQ(choose(one, in_flight, 99, nullptr), &one[0]);
}

TEST(Routing, OfTwoTheLessLoadedIsAlwaysTaken) {
    const auto two = replicas(2);
    InFlight in_flight;
    const auto token = in_flight.begin(two[0].id);
    test::SeededRandom random(7);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(choose(two, in_flight, random.next(), nullptr), &two[1]);
        EXPECT_EQ(choose(two, in_flight, random.next(), &two[1].id), &two[0]);
    }
}

TEST(Routing, EqualReplicasShareEvenlyAndLoadStaysLevel) {
    const auto rows = replicas(5);
    test::SeededRandom random(11);
    SCOPED_TRACE(random.replay());
    InFlight idle;
    std::map<std::string, int> chosen;
    for (int i = 0; i < 5000; ++i) {
        ++chosen[choose(rows, idle, random.next(), nullptr)->id.value()];
    }
    for (const auto& [id, count] : chosen) EXPECT_NEAR(count, 1000, 150) << id;
    EXPECT_EQ(chosen.size(), 5U);
    InFlight busy;
    std::vector<InFlight::Token> tokens;
    for (int i = 0; i < 500; ++i) {
        tokens.push_back(busy.begin(choose(rows, busy, random.next(), nullptr)->id));
    }
    for (const auto& row : rows) EXPECT_NEAR(busy.count(row.id), 100, 6);
}

TEST(Routing, APromptGoesWhereItsBeginningWasBefore) {
    const auto rows = replicas(4);
    test::SeededRandom random(3);
    SCOPED_TRACE(random.replay());
    InFlight idle;
    std::map<std::string, int> chosen;
    for (int prompt = 0; prompt < 400; ++prompt) {
        const std::uint64_t prefix =
            hash_prefix("salt", "{\"messages\":[" + std::to_string(prompt));
        const ReplicaRow* first = choose(rows, idle, random.next(), nullptr, prefix);
        EXPECT_EQ(choose(rows, idle, random.next(), nullptr, prefix), first);
        ++chosen[first->id.value()];
        // Without another replica the others keep their prompts.
        const auto fewer = replicas(3);
        const ReplicaRow* moved = choose(fewer, idle, random.next(), nullptr, prefix);
        EXPECT_TRUE(first->id == rows[3].id || moved->id == first->id);
    }
    for (const auto& [id, count] : chosen) EXPECT_NEAR(count, 100, 40) << id;
}

TEST(Routing, APreferenceEndsWhereTheOthersHaveMuchLess) {
    const auto rows = replicas(3);
    InFlight busy;
    std::vector<InFlight::Token> tokens;
    const ReplicaRow* preferred = choose(rows, busy, 1, nullptr, 77);
    for (int i = 0; i < kMostAhead; ++i) tokens.push_back(busy.begin(preferred->id, 100));
    EXPECT_EQ(choose(rows, busy, 1, nullptr, 77), preferred);
    tokens.push_back(busy.begin(preferred->id, 100));
    test::SeededRandom random(5);
    for (int i = 0; i < 100; ++i)
        EXPECT_NE(choose(rows, busy, random.next(), nullptr, 77), preferred);
}

TEST(Routing, OutstandingTokensCountMoreThanRequests) {
    const auto two = replicas(2);
    InFlight in_flight;
    const auto one_long = in_flight.begin(two[0].id, 30'000);
    const auto short_one = in_flight.begin(two[1].id, 100);
    const auto short_two = in_flight.begin(two[1].id, 100);
    test::SeededRandom random(9);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(choose(two, in_flight, random.next(), nullptr), &two[1]);
}

TEST(Routing, EjectedReplicasAreLeftOutUnlessAllAre) {
    const auto rows = replicas(3);
    const InFlight idle;
    Outliers outliers;
    const auto fail = [&](const ReplicaRow& row) {
        for (int i = 0; i < Outliers::kFailures; ++i) outliers.note_failure(row.id, SteadyTime());
    };
    fail(rows[0]);
    fail(rows[1]);
    test::SeededRandom random(13);
    for (int i = 0; i < 50; ++i) {
        const RoutingHint hint{random.next(), 0, nullptr, SteadyTime()};
        EXPECT_EQ(choose_replica(rows, idle, outliers, hint), &rows[2]);
    }
    fail(rows[2]);
    const RoutingHint hint{1, 0, &rows[2].id, SteadyTime()};
    EXPECT_NE(choose_replica(rows, idle, outliers, hint), nullptr);
}

TEST(Routing, PrefixesBelongToAnOrganisation) {
    const std::string body = R"({"model":"m","messages":[{"role":"system","content":"x"}]})";
    EXPECT_NE(hash_prefix("a", body), hash_prefix("b", body));
    const std::string other =
        R"({"model":"m","user":"u","messages":[{"role":"system","content":"x"}]})";
    EXPECT_EQ(hash_prefix("a", body), hash_prefix("a", other)) << "what comes before counts not";
    EXPECT_NE(hash_prefix("a", R"({"prompt":"x"})"), hash_prefix("a", R"({"prompt":"y"})"));
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
