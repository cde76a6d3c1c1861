// When a process of several loops is fed: only while all of them turn.
#include "config/base/heartbeat.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace turnpike {
namespace {

using namespace std::chrono_literals;

class HeartbeatTest : public ::testing::Test {
  protected:
    HeartbeatTest() {
        const std::string name = dir_.file("notify");
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::copy(name.begin(), name.end(), address.sun_path);
        EXPECT_EQ(
            ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
        ::setenv("WATCHDOG_USEC", "30000000", 1);
        auto notifier = Notifier::from_environment();
        EXPECT_TRUE(notifier);
        notifier_ = std::move(*notifier);
    }

    // How often it was fed since the last call.
    int num_fed() {
        int number = 0;
        for (char byte = 0; ::recv(socket_.get(), &byte, 1, 0) > 0;) ++number;
        return number;
    }

    const test::TempDir dir_;
    const UniqueFd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    Notifier notifier_;
    test::FakeClock clock_;
};

TEST_F(HeartbeatTest, OneLoopFeedsEachThirdOfThePeriod) {
    Heartbeat heartbeat(notifier_, clock_);
    const std::size_t loop = heartbeat.add_loop();
    for (int second = 0; second < 30; ++second) {
        heartbeat.turned(loop);
        clock_.advance(1s);
    }
    EXPECT_EQ(num_fed(), 3);
}

TEST_F(HeartbeatTest, ALoopThatIsStuckStarvesTheProcess) {
    Heartbeat heartbeat(notifier_, clock_);
    const std::size_t first = heartbeat.add_loop();
    const std::size_t second = heartbeat.add_loop();
    heartbeat.turned(first);
    EXPECT_EQ(num_fed(), 0);
    heartbeat.turned(second);
    EXPECT_EQ(num_fed(), 1);
    for (int minute = 0; minute < 60; ++minute) {
        clock_.advance(60s);
        heartbeat.turned(first);
    }
    EXPECT_EQ(num_fed(), 0);
    heartbeat.turned(second);
    EXPECT_EQ(num_fed(), 1);
}

TEST_F(HeartbeatTest, WithoutAWatchdogNothingIsSent) {
    const Notifier none;
    Heartbeat heartbeat(none, clock_);
    heartbeat.turned(heartbeat.add_loop());
    EXPECT_EQ(num_fed(), 0);
}

}  // namespace
}  // namespace turnpike
