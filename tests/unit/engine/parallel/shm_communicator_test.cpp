// Ranks as forked processes: what is sent arrives, and the end of one is the failure of all.
#include "engine/parallel/shm_communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <vector>

#include "tests/support/random.h"
#include "tests/support/rank_processes.h"

namespace turnpike::engine {
namespace {

using test::ForkedRanks;
using Joined = std::unique_ptr<ShmCommunicator>;

constexpr std::size_t kSmallHalf = 4096;

Joined join(int fd, int rank, ShmOptions options = {}) {
    options.rank = rank;
    auto joined = ShmCommunicator::join(fd, std::move(options));
    if (!joined) std::fprintf(stderr, "join: %s\n", joined.error().message.c_str());
    return joined ? std::move(*joined) : nullptr;
}

std::byte value_of(int rank, std::size_t operation, std::size_t index) {
    return static_cast<std::byte>(static_cast<std::size_t>(rank) * 131 + operation * 31 + index);
}

// Gathers parts of random sizes, many of them larger than what fits at once.
bool gathers_right(kernels::Communicator& ranks, std::uint64_t seed) {
    test::SeededRandom random(seed);  // the same on all ranks
    for (std::size_t operation = 0; operation < 200; ++operation) {
        std::vector<std::size_t> sizes;
        std::vector<std::byte> expected;
        std::vector<std::byte> data;
        for (int rank = 0; rank < ranks.size(); ++rank) {
            const auto size = static_cast<std::size_t>(
                random.between(0, 3) == 0 ? 0 : random.between(1, 3 * kSmallHalf));
            for (std::size_t i = 0; i < size; ++i) {
                expected.push_back(value_of(rank, operation, i));
                data.push_back(rank == ranks.rank() ? expected.back() : std::byte{0});
            }
            sizes.push_back(size);
        }
        if (!ranks.all_gather(data.data(), sizes) || data != expected) return false;
    }
    return true;
}

bool broadcasts_right(kernels::Communicator& ranks) {
    for (int root = 0; root < ranks.size(); ++root) {
        std::vector<std::byte> data(3 * kSmallHalf + 5);
        for (std::size_t i = 0; i < data.size(); ++i) data[i] = value_of(ranks.rank(), 7, i);
        if (!ranks.broadcast(data, root)) return false;
        for (std::size_t i = 0; i < data.size(); ++i)
            if (data[i] != value_of(root, 7, i)) return false;
    }
    return true;
}

TEST(ShmCommunicator, ProcessesGatherAndBroadcast) {
    for (const int size : {1, 2, 4}) {
        const auto fd = ShmRegion::create(size, kSmallHalf);
        ASSERT_TRUE(fd);
        ForkedRanks ranks(0, size, [&](int rank) {
            const Joined joined = join(fd->get(), rank);
            return joined && gathers_right(*joined, 5) && broadcasts_right(*joined) &&
                   joined->barrier() && joined->status();
        });
        EXPECT_TRUE(ranks.all_held()) << size << " ranks";
    }
}

TEST(ShmCommunicator, AKilledPeerFailsWhoWaitsForIt) {
    const auto fd = ShmRegion::create(3, kSmallHalf);
    ASSERT_TRUE(fd);
    // Rank 1 never comes to the gathering; rank 2 waits in it as rank 0 does.
    ForkedRanks ranks(1, 3, [&](int rank) {
        const Joined joined = join(fd->get(), rank);
        if (rank == 1) {
            (void)joined->barrier();
            while (true) ::pause();
        }
        return joined->barrier() && !joined->barrier() &&
               joined->status().error().message.starts_with("rank 1 (process ");
    });
    std::promise<Error> told;
    ShmOptions options;
    options.on_peer_end = [&](const Error& error) { told.set_value(error); };
    const Joined joined = join(fd->get(), 0, std::move(options));
    ASSERT_TRUE(joined->barrier());
    ranks.kill(0);
    const Status status = joined->barrier();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(status.error().message, testing::EndsWith("ended without warning"));
    EXPECT_EQ(told.get_future().get().message, status.error().message);
    // The failure stays.
    EXPECT_EQ(joined->broadcast({}, 0).error().message, status.error().message);
}

TEST(ShmCommunicator, AnIdleRankIsToldOfAKilledPeer) {
    const auto fd = ShmRegion::create(2, kSmallHalf);
    ASSERT_TRUE(fd);
    ForkedRanks ranks(1, 2, [&](int rank) {
        const Joined joined = join(fd->get(), rank);
        while (true) ::pause();
        return false;
    });
    std::promise<Error> told;
    ShmOptions options;
    options.on_peer_end = [&](const Error& error) { told.set_value(error); };
    const Joined joined = join(fd->get(), 0, std::move(options));
    ranks.kill(0);
    EXPECT_THAT(told.get_future().get().message, testing::StartsWith("rank 1 (process "));
    EXPECT_FALSE(joined->status());
}

TEST(ShmCommunicator, WhoLeavesFailsOnlyThoseThatWait) {
    const auto fd = ShmRegion::create(2, kSmallHalf);
    ASSERT_TRUE(fd);
    ForkedRanks ranks(1, 2, [&](int rank) {
        const Joined joined = join(fd->get(), rank);
        return joined->barrier().has_value();
    });
    const Joined joined = join(fd->get(), 0);
    ASSERT_TRUE(joined->barrier());
    EXPECT_TRUE(ranks.all_held());
    EXPECT_TRUE(joined->status());
    EXPECT_THAT(joined->barrier().error().message, testing::EndsWith("has left"));
}

TEST(ShmCommunicator, AnAbortTellsEveryRankTheReason) {
    const auto fd = ShmRegion::create(2, kSmallHalf);
    ASSERT_TRUE(fd);
    ForkedRanks ranks(1, 2, [&](int rank) {
        const Joined joined = join(fd->get(), rank);
        joined->abort("the weights are damaged");
        joined->abort("a later reason");
        return joined->status().error().message == "the weights are damaged";
    });
    const Joined joined = join(fd->get(), 0);
    EXPECT_EQ(joined->barrier().error().message, "the weights are damaged");
    EXPECT_TRUE(ranks.all_held());
}

TEST(ShmCommunicator, APeerThatLivesButDoesNotAnswerIsGivenUp) {
    const auto fd = ShmRegion::create(2, kSmallHalf);
    ASSERT_TRUE(fd);
    ForkedRanks ranks(1, 2, [&](int rank) {
        const Joined joined = join(fd->get(), rank);
        while (true) ::pause();
        return false;
    });
    ShmOptions options;
    options.wait_limit_ms = 100;
    const Joined joined = join(fd->get(), 0, std::move(options));
    const std::vector<std::size_t> nothing(2);
    EXPECT_THAT(joined->all_gather(nullptr, nothing).error().message,
                testing::EndsWith("did not answer rank 0 within 100 ms"));
}

TEST(ShmCommunicator, DifferentSizesAreNoticed) {
    const auto fd = ShmRegion::create(2, kSmallHalf);
    ASSERT_TRUE(fd);
    ForkedRanks ranks(1, 2, [&](int rank) {
        const Joined joined = join(fd->get(), rank);
        std::vector<std::byte> data(8);
        return !joined->all_gather(data.data(), std::vector<std::size_t>{4, 4}) ||
               !joined->barrier();
    });
    const Joined joined = join(fd->get(), 0);
    std::vector<std::byte> data(8);
    const Status status = joined->all_gather(data.data(), std::vector<std::size_t>{2, 6});
    EXPECT_FALSE(status);
    EXPECT_THAT(status.error().message, testing::HasSubstr("bytes of rank"));
    EXPECT_TRUE(ranks.all_held());
}

TEST(ShmCommunicator, JoiningIsBoundedAndChecked) {
    const auto fd = ShmRegion::create(2, kSmallHalf);
    ASSERT_TRUE(fd);
    ShmOptions options;
    options.join_limit_ms = 100;
    EXPECT_EQ(ShmCommunicator::join(fd->get(), options).error().code, ErrorCode::kTimeout);
    options.check_join = [] { return Status(Error{ErrorCode::kIo, "it did not start", {}}); };
    EXPECT_EQ(ShmCommunicator::join(fd->get(), options).error().message, "it did not start");
    options.rank = 2;
    EXPECT_EQ(ShmCommunicator::join(fd->get(), options).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(ShmCommunicator::join(0, options).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace turnpike::engine
