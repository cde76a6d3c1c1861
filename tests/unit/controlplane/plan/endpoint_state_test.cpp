// Every state is reached from every other in at most two edges, and only by edges.
#include <gtest/gtest.h>

#include <array>

#include "controlplane/plan/reconcile.h"

namespace turnpike::controlplane {
namespace {

using S = EndpointState;
constexpr std::array kAll{S::kPending,  S::kStarting, S::kStarted,
                          S::kStopping, S::kStopped,  S::kError};

TEST(EndpointState, WalksOnlyOverEdges) {
    for (const S from : kAll) {
        for (const S to : kAll) {
            const S first = step_towards(from, to);
            EXPECT_TRUE(from == to || is_edge(from, first)) << to_string(from) << to_string(to);
            const S second = step_towards(first, to);
            EXPECT_TRUE(first == to || is_edge(first, second));
            EXPECT_EQ(second, to) << to_string(from) << " to " << to_string(to);
        }
    }
}

TEST(EndpointState, HasNoShortcuts) {
    EXPECT_FALSE(is_edge(S::kStarted, S::kStopped));
    EXPECT_FALSE(is_edge(S::kPending, S::kStarted));
    EXPECT_FALSE(is_edge(S::kStopped, S::kStarted));
    EXPECT_FALSE(is_edge(S::kStarted, S::kError));
    for (const S state : kAll) EXPECT_FALSE(is_edge(state, state));
}

}  // namespace
}  // namespace turnpike::controlplane
