// Which faults of a GPU end an engine, against a library with NVML's names.
#include "engine/serve/gpu_faults.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace turnpike::engine {
namespace {

constexpr char kLibrary[] = TURNPIKE_FAKE_NVML;
constexpr char kBusId[] = "0000:18:00.0";

class GpuFaultsTest : public testing::Test {
  protected:
    void SetUp() override {
        library_ = dlopen(kLibrary, RTLD_NOW);
        ASSERT_NE(library_, nullptr) << dlerror();
        put_ = reinterpret_cast<void (*)(unsigned long long)>(dlsym(library_, "fake_nvml_put"));
        lose_ = reinterpret_cast<void (*)(int)>(dlsym(library_, "fake_nvml_lose"));
        num_open_ = reinterpret_cast<int (*)()>(dlsym(library_, "fake_nvml_num_open"));
    }

    void TearDown() override {
        lose_(0);
        dlclose(library_);
    }

    void* library_ = nullptr;
    void (*put_)(unsigned long long) = nullptr;
    void (*lose_)(int) = nullptr;
    int (*num_open_)() = nullptr;
};

TEST_F(GpuFaultsTest, AFaultOfTheGpuIsToldWithItsNameAndNumber) {
    auto faults = GpuFaults::open(kBusId, kLibrary);
    ASSERT_TRUE(faults) << faults.error().message;
    EXPECT_EQ((*faults)->poll(), std::nullopt);
    put_(79);
    EXPECT_EQ((*faults)->poll(), "GPU 0000:18:00.0: Xid 79: the GPU has fallen off the bus");
    EXPECT_EQ((*faults)->poll(), std::nullopt);
}

TEST_F(GpuFaultsTest, WhatAProgramDidToItselfIsLeftToCuda) {
    auto faults = GpuFaults::open(kBusId, kLibrary);
    ASSERT_TRUE(faults) << faults.error().message;
    for (const unsigned long long xid : {13, 31, 43, 45, 68, 109}) put_(xid);
    EXPECT_EQ((*faults)->poll(), std::nullopt);
    // One behind those is not lost.
    put_(31);
    put_(48);
    const auto fault = (*faults)->poll();
    ASSERT_TRUE(fault.has_value());
    EXPECT_NE(fault->find("Xid 48"), std::string::npos) << *fault;
}

TEST_F(GpuFaultsTest, ALostGpuIsAFault) {
    auto faults = GpuFaults::open(kBusId, kLibrary);
    ASSERT_TRUE(faults) << faults.error().message;
    lose_(15);
    EXPECT_EQ((*faults)->poll(), "GPU 0000:18:00.0 is lost");
    lose_(999);
    EXPECT_EQ((*faults)->poll(), std::nullopt) << "what cannot be told is no fault";
}

TEST_F(GpuFaultsTest, WhatIsMissingIsNamedAndNothingStaysOpen) {
    const auto no_library = GpuFaults::open(kBusId, "libturnpike-no-such.so.1");
    ASSERT_FALSE(no_library);
    EXPECT_EQ(no_library.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(no_library.error().message.find("libturnpike-no-such"), std::string::npos);
    const auto no_nvml = GpuFaults::open(kBusId, "libc.so.6");
    ASSERT_FALSE(no_nvml);
    EXPECT_NE(no_nvml.error().message.find("nvmlInit_v2"), std::string::npos);
    const auto no_gpu = GpuFaults::open("0000:99:00.0", kLibrary);
    ASSERT_FALSE(no_gpu);
    EXPECT_NE(no_gpu.error().message.find("0000:99:00.0: Not Found"), std::string::npos)
        << no_gpu.error().message;
    EXPECT_EQ(num_open_(), 0);
}

TEST(DescribeXid, AnUnknownOneIsAFault) {
    EXPECT_EQ(describe_xid(31), std::nullopt);
    EXPECT_NE(describe_xid(140)->find("Xid 140"), std::string::npos);
}

}  // namespace
}  // namespace turnpike::engine
