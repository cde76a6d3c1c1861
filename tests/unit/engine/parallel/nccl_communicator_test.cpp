// What NCCL's communicator does with one GPU, and how it fails with none.
#include "engine/parallel/nccl_communicator.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace turnpike::engine {
namespace {

int num_devices() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

TEST(NcclCommunicator, AnIdOfAnotherLengthIsRefused) {
    const auto joined = join_nccl({.id = "short"});
    ASSERT_FALSE(joined);
    EXPECT_EQ(joined.error().code, ErrorCode::kInvalidArgument);
}

// One past the last, which without a GPU is the first.
TEST(NcclCommunicator, ADeviceThatIsNotThereIsNamed) {
    const int absent = num_devices();
    const auto joined = join_nccl({.device = absent, .id = std::string(128, '\0')});
    ASSERT_FALSE(joined);
    EXPECT_EQ(joined.error().code, ErrorCode::kUnavailable);
    const std::string wanted = "choosing GPU " + std::to_string(absent) + ": ";
    EXPECT_NE(joined.error().message.find(wanted), std::string::npos) << joined.error().message;
}

TEST(NcclCommunicator, OneRankTalksToItself) {
    if (num_devices() == 0) GTEST_SKIP() << "needs an NVIDIA GPU, and this machine has none";
    const auto id = new_nccl_id();
    ASSERT_TRUE(id) << id.error().message;
    const auto joined = join_nccl({.id = *id});
    ASSERT_TRUE(joined) << joined.error().message;
    std::vector<std::byte> message(9, std::byte{5});
    EXPECT_TRUE((*joined)->broadcast(message, 0));
    EXPECT_EQ(message.back(), std::byte{5});
    EXPECT_TRUE((*joined)->barrier());
    void* data = nullptr;
    ASSERT_EQ(cudaMalloc(&data, 16), cudaSuccess);
    EXPECT_TRUE((*joined)->all_gather(data, std::vector<std::size_t>{16}));
    EXPECT_TRUE((*joined)->barrier());
    cudaFree(data);
    (*joined)->abort("enough");
    EXPECT_EQ((*joined)->barrier().error().message, "enough");
}

}  // namespace
}  // namespace turnpike::engine
