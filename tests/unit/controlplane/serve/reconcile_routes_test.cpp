// Engines beside the books: who may be ahead of whom.
#include "controlplane/serve/reconcile_routes.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

const ReplicaId kReplica("r");
constexpr TokenUsage kTen{10, 2, 10, 1};

engine::MeterTotals engine_with(const TokenUsage& usage, std::int64_t num_open) {
    return {1, num_open, usage};
}

TEST(CompareEngines, BilledWrittenOffAndQuarantinedTogetherFit) {
    const ReplicaUsage books{{4, 1, 5, 1}, {3, 1, 3, 0}, {3, 0, 2, 0}};
    const EngineComparison same = compare(kReplica, engine_with(kTen, 0), books);
    EXPECT_FALSE(same.fault.has_value());
    EXPECT_FALSE(same.is_busy);
}

TEST(CompareEngines, AnEngineIsAheadOnlyWhileRequestsAreOpen) {
    const ReplicaUsage books{{9, 2, 10, 1}, {}, {}};
    EXPECT_TRUE(compare(kReplica, engine_with(kTen, 1), books).is_busy);
    const auto fault = compare(kReplica, engine_with(kTen, 0), books).fault;
    ASSERT_TRUE(fault.has_value());
    EXPECT_NE(fault->find("replica r: the engine counted 10 prompt"), std::string::npos) << *fault;
}

TEST(CompareEngines, TheBooksAreNeverAhead) {
    for (const TokenUsage& more : {TokenUsage{11, 2, 10, 1}, TokenUsage{10, 3, 10, 1},
                                   TokenUsage{9, 2, 11, 1}, TokenUsage{9, 2, 9, 2}}) {
        EXPECT_TRUE(compare(kReplica, engine_with(kTen, 1), {more, {}, {}}).fault.has_value());
    }
}

}  // namespace
}  // namespace turnpike::controlplane
