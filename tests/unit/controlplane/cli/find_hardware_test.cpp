// --gpu and --gpu-count name one row of the catalogue, or none.
#include <gtest/gtest.h>

#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

const json kRows = json::parse(R"([
    {"id":"1x_nvidia_h200_140gb_sxm","specs":{"gpu_type":"h200-140gb","gpu_count":1}},
    {"id":"8x_nvidia_h200_140gb_sxm","specs":{"gpu_type":"h200-140gb","gpu_count":8}},
    {"id":"1x_nvidia_a100_80gb_pcie","specs":{"gpu_type":"a100-80gb","gpu_count":1}},
    {"id":"1x_nvidia_a100_80gb_sxm","specs":{"gpu_type":"a100-80gb","gpu_count":1}}])");

TEST(FindHardware, TakesTheOneThatFits) {
    EXPECT_EQ(find_hardware(kRows, "h200", 8).value(), "8x_nvidia_h200_140gb_sxm");
    EXPECT_EQ(find_hardware(kRows, "h200-140gb", 1).value(), "1x_nvidia_h200_140gb_sxm");
}

TEST(FindHardware, SaysWhatThereIs) {
    const auto none = find_hardware(kRows, "h2", 1);
    EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
    EXPECT_NE(none.error().message.find("1x_nvidia_a100_80gb_pcie"), std::string::npos);
    EXPECT_EQ(find_hardware(kRows, "h200", 2).error().code, ErrorCode::kNotFound);
    const auto several = find_hardware(kRows, "a100", 1);
    EXPECT_EQ(several.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace turnpike::controlplane::cli
