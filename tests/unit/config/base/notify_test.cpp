// What a manager's socket gets, and whose environment says so.
#include "config/base/notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "tests/support/temp_dir.h"

namespace turnpike {
namespace {

// The socket of a manager, under a path or an abstract name ("@...").
class Manager {
  public:
    explicit Manager(const std::string& name)
        : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::copy(name.begin(), name.end(), address.sun_path);
        if (name.front() == '@') address.sun_path[0] = '\0';
        const std::size_t length = offsetof(sockaddr_un, sun_path) + name.size();
        EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                         static_cast<socklen_t>(length)),
                  0);
    }

    // Empty when there is none.
    std::string next() {
        std::array<char, 512> buffer{};
        const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        return size < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(size));
    }

  private:
    UniqueFd socket_;
};

class NotifierTest : public ::testing::Test {
  protected:
    void TearDown() override {
        for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
            ::unsetenv(name);
    }

    static Result<Notifier> notifier_of(const std::string& socket,
                                        const char* usec = nullptr,
                                        const char* pid = nullptr) {
        ::setenv("NOTIFY_SOCKET", socket.c_str(), 1);
        if (usec != nullptr) ::setenv("WATCHDOG_USEC", usec, 1);
        if (pid != nullptr) ::setenv("WATCHDOG_PID", pid, 1);
        return Notifier::from_environment();
    }

    const test::TempDir dir_;
    const std::string socket_ = dir_.file("notify");
};

const std::string kReady = "READY=1\nMAINPID=" + std::to_string(::getpid());

TEST_F(NotifierTest, SendsWhatSystemdUnderstands) {
    Manager manager(socket_);
    const auto notifier = notifier_of(socket_);
    ASSERT_TRUE(notifier);
    notifier->ready();
    EXPECT_EQ(manager.next(), kReady);
    notifier->ready("loading");
    EXPECT_EQ(manager.next(), kReady + "\nSTATUS=loading");
    notifier->status("ready");
    EXPECT_EQ(manager.next(), "STATUS=ready");
    notifier->reloading(SteadyTime(std::chrono::microseconds(1234567)));
    EXPECT_EQ(manager.next(), "RELOADING=1\nMONOTONIC_USEC=1234567");
    EXPECT_TRUE(notifier->feed());
    EXPECT_EQ(manager.next(), "WATCHDOG=1");
    notifier->stopping();
    EXPECT_EQ(manager.next(), "STOPPING=1");
    EXPECT_EQ(manager.next(), "");
}

TEST_F(NotifierTest, AnAbstractSocketIsOne) {
    const std::string name = "@turnpike-notify-test-" + std::to_string(::getpid());
    Manager manager(name);
    const auto notifier = notifier_of(name);
    ASSERT_TRUE(notifier);
    notifier->ready();
    EXPECT_EQ(manager.next(), kReady);
}

TEST_F(NotifierTest, WithoutASocketNothingHappens) {
    ::setenv("WATCHDOG_USEC", "1000000", 1);
    const auto notifier = Notifier::from_environment();
    ASSERT_TRUE(notifier);
    EXPECT_EQ(notifier->watchdog().count(), 0);
    notifier->ready("serving");
    EXPECT_TRUE(notifier->feed());
}

TEST_F(NotifierTest, ANameThatIsNoSocketIsAnError) {
    for (const std::string name : {"vsock:2:1234", "relative", "@", "/"}) {
        const auto notifier = notifier_of(name);
        ASSERT_FALSE(notifier) << name;
        EXPECT_NE(notifier.error().message.find("'" + name + "'"), std::string::npos);
    }
    EXPECT_TRUE(notifier_of("/" + std::string(106, 'x')));
    EXPECT_FALSE(notifier_of("/" + std::string(107, 'x')));
}

TEST_F(NotifierTest, TheWatchdogIsOfTheProcessThatItNames) {
    const std::string own = std::to_string(::getpid());
    const auto watchdog = [&](const char* usec, const char* pid) {
        const auto notifier = notifier_of(socket_, usec, pid);
        return notifier ? notifier->watchdog().count() : -1;
    };
    EXPECT_EQ(watchdog("3000000", own.c_str()), 3'000'000);
    EXPECT_EQ(watchdog("3000000", nullptr), 3'000'000);
    EXPECT_EQ(watchdog("3000000", "1"), 0);
    EXPECT_EQ(watchdog("3000000", "me"), 0);
    EXPECT_EQ(watchdog("0", nullptr), 0);
    EXPECT_EQ(watchdog("-5", nullptr), 0);
    EXPECT_EQ(watchdog("3s", nullptr), 0);
    EXPECT_EQ(watchdog("18446744073709551615", nullptr), 0);
    EXPECT_EQ(watchdog(nullptr, nullptr), 0);
}

TEST_F(NotifierTest, ChildrenDoNotInheritIt) {
    ASSERT_TRUE(notifier_of(socket_, "3000000", "1"));
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
        EXPECT_EQ(std::getenv(name), nullptr) << name;
}

TEST_F(NotifierTest, AManagerThatDoesNotReadIsNotWaitedFor) {
    Manager manager(socket_);
    const auto notifier = notifier_of(socket_);
    ASSERT_TRUE(notifier);
    int num_sent = 0;
    while (notifier->feed()) {
        ASSERT_LT(++num_sent, 1'000'000);  // net.unix.max_dgram_qlen is far below
    }
    EXPECT_EQ(manager.next(), "WATCHDOG=1");
    EXPECT_TRUE(notifier->feed());
}

}  // namespace
}  // namespace turnpike
