// Which of the two was faster for shapes of R1 on an H200, as gemm_bench printed. Runs without a
// GPU.
#include "kernels/cuda/linear_plan.h"

#include <gtest/gtest.h>

namespace turnpike::kernels::cuda {
namespace {

bool prefers(std::int64_t rows, std::int64_t weight_rows, std::int64_t cols) {
    return prefers_gemm(rows, weight_rows, cols / 128, 132);
}

TEST(LinearPlan, PromptsGoByGemm) {
    EXPECT_TRUE(prefers(256, 2112, 7168));   // 47 us of 63
    EXPECT_TRUE(prefers(256, 24576, 1536));  // 33 of 107
    EXPECT_TRUE(prefers(256, 32768, 512));   // 20 of 80
    EXPECT_TRUE(prefers(256, 7168, 16384));  // 114 of 300
    EXPECT_TRUE(prefers(256, 7168, 2048));   // 20 of 70
    EXPECT_TRUE(prefers(4096, 576, 7168));
}

TEST(LinearPlan, DecodeStreams) {
    for (const std::int64_t rows : {1, 8, 32, 64}) {
        EXPECT_FALSE(prefers(rows, 24576, 1536)) << rows;
        EXPECT_FALSE(prefers(rows, 7168, 16384)) << rows;
    }
}

TEST(LinearPlan, InBetweenTheShapeDecides) {
    EXPECT_TRUE(prefers(128, 24576, 1536));
    EXPECT_TRUE(prefers(128, 7168, 16384));
    EXPECT_FALSE(prefers(128, 576, 7168));
    EXPECT_FALSE(prefers(128, 2048, 7168));
}

}  // namespace
}  // namespace turnpike::kernels::cuda
