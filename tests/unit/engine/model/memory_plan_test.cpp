// The published models' real shapes: tensors and bytes as published, sparse files, and what fits.
#include "engine/model/memory_plan.h"

#include <gtest/gtest.h>

#include "engine/model/blueprint.h"
#include "engine/model/load.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

std::string published(const std::string& name) {
    return std::string(TURNPIKE_SOURCE_DIR) + "/config/files/models/" + name;
}

PlanRequest request_for(std::int64_t gpus, double memory) {
    PlanRequest request;
    request.num_gpus = gpus;
    request.gpu_memory_gib = memory;
    return request;
}

TEST(MemoryPlan, R1HasItsPublishedTensorsAndBytes) {
    const auto plan = plan_memory(published("deepseek-r1-0528"), request_for(8, 139.0));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->num_tensors, 91991U);
    EXPECT_EQ(plan->num_bytes, 688574839360U);
    EXPECT_TRUE(plan->fits());
    ASSERT_EQ(plan->layouts.size(), 2U);
    const LayoutPlan& tensor_parallel = plan->layouts[0];
    EXPECT_NEAR(tensor_parallel.weight_bytes / kGib, 80.8, 0.1);
    EXPECT_EQ(tensor_parallel.kv_bytes_per_token, 70272.0);
    const LayoutPlan& data_parallel = plan->layouts[1];
    EXPECT_NEAR(data_parallel.weight_bytes / kGib, 89.5, 0.1);
    EXPECT_GT(data_parallel.kv_tokens, 6 * tensor_parallel.kv_tokens);
}

TEST(MemoryPlan, SaysNoWhereItDoesNotFit) {
    const std::string model = published("deepseek-r1-0528");
    EXPECT_FALSE(plan_memory(model, request_for(8, 79.0))->fits());
    PlanRequest many = request_for(8, 139.0);
    many.concurrency = 100;
    EXPECT_FALSE(plan_memory(model, many)->fits());
    // Heads of 192 rows under blocks of 128: a rank holds an even number of them.
    const auto odd = plan_memory(model, request_for(128, 139.0));
    EXPECT_NE(odd->layouts[0].obstacle.find("heads"), std::string::npos);
    EXPECT_FALSE(odd->layouts[0].fits());
}

TEST(MemoryPlan, TheDistillFitsOneGpu) {
    const auto plan = plan_memory(published("deepseek-r1-0528-qwen3-8b"), request_for(1, 139.0));
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->num_tensors, 399U);
    EXPECT_EQ(plan->num_bytes, 16381470720U);
    EXPECT_TRUE(plan->fits());
    EXPECT_EQ(plan->layouts[0].kv_bytes_per_token, 147456.0);
}

TEST(MemoryPlan, RefusesRequestsOutOfRange) {
    const std::string model = published("deepseek-r1-0528");
    EXPECT_EQ(plan_memory(model, request_for(0, 80.0)).error().param, "gpus");
    EXPECT_EQ(plan_memory(model, request_for(8, 0.0)).error().param, "gpu_memory");
    PlanRequest request = request_for(8, 139.0);
    request.context = 163841;
    EXPECT_EQ(plan_memory(model, request).error().param, "context");
    request = request_for(8, 139.0);
    request.concurrency = 0;
    EXPECT_EQ(plan_memory(model, request).error().param, "concurrency");
    EXPECT_EQ(plan_memory("/nonexistent", request).error().code, ErrorCode::kNotFound);
}

// 16 GB of checkpoint on a few kilobytes of disk; the model of 688 GB takes the same way.
TEST(SparseCheckpoint, PassesItsCheck) {
    const test::TempDir temp;
    SynthOptions options;
    options.config_path = published("deepseek-r1-0528-qwen3-8b") + "/config.json";
    options.out_dir = temp.path().string();
    options.num_shards = 2;
    options.is_sparse = true;
    ASSERT_TRUE(synthesize_checkpoint(options));
    const Status status = check_checkpoint(options.out_dir);
    EXPECT_TRUE(status) << status.error().message;
    std::uintmax_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
        bytes += entry.file_size();
    }
    EXPECT_GT(bytes, 16381470720U);
}

}  // namespace
}  // namespace turnpike::engine
