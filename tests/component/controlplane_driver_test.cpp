// The process driver with real processes: a shell script stands for the engine.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>

#include "config/base/limits.h"
#include "controlplane/run/process_driver.h"
#include "controlplane/run/spawn.h"

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Ends by SIGTERM with status 0; logs its arguments. It waits in `read` on a pipe that nobody
// writes, so that no child of its own is left behind.
constexpr const char* kFakeEngine = R"(#!/bin/sh
trap 'echo drained; exit 0' TERM
echo "started $*"
[ -e "${3%engine.json}fail" ] && exit 7
mkfifo "${3%engine.json}never" 2>/dev/null
while :; do read -r line <>"${3%engine.json}never"; done
)";

class ProcessDriverTest : public ::testing::Test {
  protected:
    void SetUp() override {
        char pattern[] = "/tmp/tp-driver-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern), nullptr);
        dir_ = pattern;
        std::ofstream(dir_ + "/engine") << kFakeEngine;
        ASSERT_EQ(::chmod((dir_ + "/engine").c_str(), 0700), 0);
    }

    void TearDown() override {
        if (driver_) {
            const std::vector<ObservedProcess> processes = driver_->list().value();
            for (const ObservedProcess& process : processes) {
                if (process.is_running) ::kill(static_cast<pid_t>(process.pid), SIGKILL);
            }
        }
        driver_.reset();
        fs::remove_all(dir_);
    }

    void open() {
        driver_.reset();
        auto opened = ProcessDriver::open({dir_, dir_ + "/engine"}, [this] {
            const std::lock_guard lock(mutex_);
            ++num_exits_;
            exited_.notify_all();
        });
        ASSERT_TRUE(opened) << opened.error().message;
        driver_ = *std::move(opened);
    }

    ObservedProcess only() {
        const auto processes = driver_->list();
        EXPECT_TRUE(processes && processes->size() == 1);
        return processes->at(0);
    }

    void wait_for_exit() {
        std::unique_lock lock(mutex_);
        ASSERT_TRUE(exited_.wait_for(lock, 10s, [this] { return num_exits_ > 0; }));
        num_exits_ = 0;
    }

    // The script sets its trap before it logs.
    void wait_for_log(const std::string& text) {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (last_lines(dir_ + "/r/x-1-0/engine.log", 4096).find(text) == std::string::npos)
            ASSERT_LT(std::chrono::steady_clock::now(), deadline)
                << "no '" << text << "' in the log";
    }

    static ReplicaSpec spec(std::int64_t epoch) {
        return {ReplicaId("x-1-0"), Epoch(epoch), "/cards/a.json", "/models/a"};
    }

    std::string dir_;
    std::mutex mutex_;
    std::condition_variable exited_;
    int num_exits_ = 0;
    std::unique_ptr<ProcessDriver> driver_;
};

TEST_F(ProcessDriverTest, WritesTheEnginesSettings) {
    open();
    ReplicaSpec drafting = spec(3);
    drafting.speculative_tokens = 1;
    ASSERT_TRUE(driver_->start(drafting));
    std::ifstream file(dir_ + "/r/x-1-0/engine.json");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    EXPECT_NE(text.find("\"speculative_tokens\": 1"), std::string::npos) << text;
    EXPECT_NE(text.find("\"epoch\": 3"), std::string::npos) << text;
    ASSERT_TRUE(driver_->stop(drafting.id, StopHow::kKill));
    wait_for_exit();
}

TEST_F(ProcessDriverTest, StartsOnceAndDrains) {
    open();
    ASSERT_TRUE(driver_->start(spec(1)));
    const ObservedProcess first = only();
    EXPECT_TRUE(first.is_running);
    EXPECT_EQ(first.epoch, Epoch(1));
    ASSERT_TRUE(driver_->start(spec(1)));
    EXPECT_EQ(only().pid, first.pid) << "a repeated start made another process";
    EXPECT_EQ(driver_->start(spec(2)).error().code, ErrorCode::kConflict);
    EXPECT_EQ(::getsid(static_cast<pid_t>(first.pid)), first.pid);
    EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(first.pid) + "/cwd"), "/");
    wait_for_log("started serve --config");
    ASSERT_TRUE(driver_->stop(spec(1).id, StopHow::kDrain));
    wait_for_exit();
    const ObservedProcess ended = only();
    EXPECT_FALSE(ended.is_running);
    EXPECT_EQ(ended.exit_reason, "exit status 0");
    EXPECT_NE(ended.last_log.find("drained"), std::string::npos) << ended.last_log;
    EXPECT_TRUE(driver_->stop(spec(1).id, StopHow::kKill));
}

TEST_F(ProcessDriverTest, TellsWhyAProcessEnded) {
    open();
    ASSERT_TRUE(driver_->start(spec(1)));
    ASSERT_TRUE(driver_->stop(spec(1).id, StopHow::kKill));
    wait_for_exit();
    EXPECT_EQ(only().exit_reason, "signal 9");
    std::ofstream(dir_ + "/r/x-1-0/fail") << "";
    ASSERT_TRUE(driver_->start(spec(2)));
    wait_for_exit();
    EXPECT_EQ(only().exit_reason, "exit status 7");
    EXPECT_EQ(only().epoch, Epoch(2));
}

TEST_F(ProcessDriverTest, IsFoundAgainByItsPidFile) {
    open();
    ASSERT_TRUE(driver_->start(spec(4)));
    const std::int64_t pid = only().pid;
    open();
    EXPECT_EQ(only().pid, pid);
    EXPECT_EQ(only().epoch, Epoch(4));
    EXPECT_EQ(driver_->start(spec(5)).error().code, ErrorCode::kConflict);
    // It is not reaped by the driver that found it, so it stays a zombie: that counts as dead.
    ASSERT_TRUE(driver_->stop(spec(4).id, StopHow::kKill));
    wait_for_exit();
    EXPECT_FALSE(only().is_running);
    EXPECT_EQ(only().exit_reason, "gone");
}

TEST_F(ProcessDriverTest, IsFoundAgainByItsCommandLine) {
    open();
    ASSERT_TRUE(driver_->start(spec(6)));
    wait_for_log("started");
    const std::int64_t pid = only().pid;
    fs::remove(dir_ + "/r/x-1-0/pid");
    open();
    EXPECT_EQ(only().pid, pid);
    EXPECT_EQ(only().epoch, Epoch(6));
    EXPECT_TRUE(fs::exists(dir_ + "/r/x-1-0/pid"));
}

TEST_F(ProcessDriverTest, AReusedPidIsNobody) {
    fs::create_directories(dir_ + "/r/x-1-0");
    const auto self = identify_process(::getpid());
    ASSERT_TRUE(self);
    std::ofstream(dir_ + "/r/x-1-0/pid") << self->pid << " " << self->start_time - 1 << " 3\n";
    open();
    EXPECT_FALSE(only().is_running);
    // Would end this test if it reached us.
    EXPECT_TRUE(driver_->stop(ReplicaId("x-1-0"), StopHow::kKill));
    EXPECT_TRUE(driver_->start(spec(4)));
    EXPECT_TRUE(only().is_running);
}

TEST_F(ProcessDriverTest, RefusesWhatCannotWork) {
    open();
    const ReplicaId long_id(std::string(limits::kMaxUnixSocketPath, 'x'));
    const auto address = driver_->address_of(long_id);
    ASSERT_FALSE(address);
    EXPECT_NE(address.error().message.find("choose a shorter run_dir"), std::string::npos);
    EXPECT_EQ(driver_->start({long_id, Epoch(1), "", ""}).error().code,
              ErrorCode::kInvalidArgument);
    auto no_engine = ProcessDriver::open({dir_, dir_ + "/absent"}, [] {});
    ASSERT_TRUE(no_engine);
    const Status started = (*no_engine)->start(spec(1));
    EXPECT_EQ(started.error().code, ErrorCode::kIo);
    EXPECT_NE(started.error().message.find("No such file"), std::string::npos);
    EXPECT_FALSE(ProcessDriver::open({"relative", "/bin/true"}, [] {}));
    fs::create_directories(dir_ + "/r/x-1-0");
    std::ofstream(dir_ + "/r/x-1-0/pid") << "nonsense";
    EXPECT_EQ(ProcessDriver::open({dir_, "/bin/true"}, [] {}).error().code, ErrorCode::kCorrupt);
    fs::remove(dir_ + "/r/x-1-0/pid");
}

TEST(ProcessStat, ReadsWhatFollowsTheLastBracket) {
    std::string text = "12 (a) b) S";
    for (int field = 4; field <= 22; ++field) text += " " + std::to_string(field * 10);
    const auto stat = parse_process_stat(text);
    ASSERT_TRUE(stat);
    EXPECT_EQ(stat->state, 'S');
    EXPECT_EQ(stat->start_time, 220U);
    EXPECT_FALSE(parse_process_stat("12 (a) S 1 2"));
    EXPECT_FALSE(parse_process_stat(""));
}

}  // namespace
}  // namespace turnpike::controlplane
