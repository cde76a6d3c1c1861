// The meter file: counts survive kill -9 and reopening, ids do not repeat, growth keeps old slots.
#include "engine/serve/meter_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

namespace turnpike::engine {
namespace {

class MeterFileTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "meter.XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        dir_ = pattern;
        path_ = dir_ + "/meter";
    }

    void TearDown() override { std::filesystem::remove_all(dir_); }

    std::string dir_;
    std::string path_;
};

TEST_F(MeterFileTest, CountsAndRefusesRepeatedIds) {
    const auto meter = MeterFile::open(path_).value();
    MeterFile::Slot* slot = meter->begin("A", {5, 0, 0, 0}).value();
    EXPECT_EQ(meter->begin("A", {}).error().code, ErrorCode::kConflict);
    EXPECT_EQ(meter->begin("", {}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(meter->begin(std::string(40, 'x'), {}).error().code, ErrorCode::kInvalidArgument);
    MeterFile::update(*slot, {5, 1, 9, 2});
    EXPECT_FALSE(meter->find("A")->is_final);
    MeterFile::finish(*slot);
    EXPECT_EQ(meter->find("A")->usage, (TokenUsage{5, 1, 9, 2}));
    EXPECT_TRUE(meter->find("A")->is_final);
    EXPECT_FALSE(meter->find("B").has_value());
    EXPECT_EQ(meter->totals().num_open, 0);
}

TEST_F(MeterFileTest, SurvivesKillNineAndClosesWhatWasOpen) {
    const pid_t child = ::fork();
    if (child == 0) {
        const auto meter = MeterFile::open(path_);
        MeterFile::Slot* slot = meter.value()->begin("A", {5, 0, 0, 0}).value();
        MeterFile::update(*slot, {5, 0, 123, 45});
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    const auto meter = MeterFile::open(path_).value();
    EXPECT_EQ(meter->find("A")->usage, (TokenUsage{5, 0, 123, 45}));
    EXPECT_TRUE(meter->find("A")->is_final);
    EXPECT_FALSE(meter->begin("A", {}).has_value());
}

TEST_F(MeterFileTest, GrowsBySegmentsAndKeepsItsTotals) {
    constexpr int kNumRequests = 9000;  // more than two segments
    {
        const auto meter = MeterFile::open(path_).value();
        for (int i = 0; i < kNumRequests; ++i) {
            MeterFile::finish(*meter->begin("r" + std::to_string(i), {2, 0, 3, 1}).value());
        }
    }
    const auto meter = MeterFile::open(path_).value();
    EXPECT_EQ(meter->totals().num_requests, kNumRequests);
    EXPECT_EQ(meter->totals().usage,
              (TokenUsage{2 * kNumRequests, 0, 3 * kNumRequests, kNumRequests}));
    EXPECT_TRUE(meter->begin("new", {}).has_value());
    EXPECT_EQ(meter->find("r8999")->usage.completion_tokens, 3);
}

TEST_F(MeterFileTest, AWithdrawnRequestNeverWasAndItsSlotIsUsedAgain) {
    {
        const auto meter = MeterFile::open(path_).value();
        const auto slot = meter->begin("a-long-identifier", {7, 0, 0, 0}).value();
        meter->withdraw(*slot);
        EXPECT_FALSE(meter->find("a-long-identifier").has_value());
        EXPECT_EQ(meter->totals().num_requests, 0);
        EXPECT_EQ(meter->begin("short", {1, 0, 0, 0}).value(), slot);
        meter->withdraw(*meter->begin("gone", {9, 0, 0, 0}).value());
    }
    const auto meter = MeterFile::open(path_).value();
    EXPECT_EQ(meter->totals().num_requests, 1);
    EXPECT_EQ(meter->find("short")->usage.prompt_tokens, 1);
    EXPECT_TRUE(meter->begin("gone", {}).has_value());
}

TEST_F(MeterFileTest, AnotherKindOfFileIsRefused) {
    std::ofstream(path_) << "something else entirely";
    EXPECT_EQ(MeterFile::open(path_).error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(MeterFile::open(dir_ + "/none/meter").error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace turnpike::engine
