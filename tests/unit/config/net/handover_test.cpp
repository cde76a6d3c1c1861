// The handover of descriptors between two processes, and the notice of readiness.
#include "config/net/handover.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <future>
#include <semaphore>

#include "config/base/notify.h"
#include "config/net/ready_notice.h"
#include "tests/unit/config/net/server_fixture.h"

namespace turnpike::net {
namespace {

using testing::HasSubstr;

class HandoverTest : public testing::Test {
  protected:
    // Gives "a" twice and "b"; each is a pipe's end that says its own name.
    HandoverHooks hooks() {
        HandoverHooks hooks;
        hooks.share = []() -> Result<NamedFds> {
            NamedFds fds;
            for (const char* name : {"a", "b", "a"}) {
                std::array<int, 2> ends{};
                EXPECT_EQ(::pipe(ends.data()), 0);
                EXPECT_EQ(::write(ends[1], name, 1), 1);
                ::close(ends[1]);
                fds.push_back({name, UniqueFd(ends[0])});
            }
            return fds;
        };
        hooks.let_go = [this]() -> Status {
            ++num_let_go_;
            return let_go_;
        };
        hooks.handed_over = [this] { handed_over_.release(); };
        hooks.go_on = [this] { went_on_.release(); };
        return hooks;
    }

    void start(UniqueFd listener = UniqueFd()) {
        auto server = HandoverServer::start(path_, std::move(listener), hooks(), log_);
        ASSERT_TRUE(server.has_value()) << server.error().message;
        server_ = std::move(*server);
    }

    std::optional<Predecessor> find() {
        auto found = Predecessor::find(path_);
        EXPECT_TRUE(found.has_value());
        return found ? std::move(*found) : std::nullopt;
    }

    static bool is_set(std::counting_semaphore<>& event) {
        return event.try_acquire_for(std::chrono::seconds(20));
    }

    test::TempDir dir_;
    const std::string path_ = dir_.file("handover");
    SystemClock clock_;
    Log log_{clock_, "test", LogLevel::kError};
    std::atomic<int> num_let_go_ = 0;
    Status let_go_;
    std::counting_semaphore<> handed_over_{0};
    std::counting_semaphore<> went_on_{0};
    std::unique_ptr<HandoverServer> server_;
};

TEST_F(HandoverTest, NobodyAnswers) {
    EXPECT_FALSE(find().has_value());
    start();
    server_.reset();
    EXPECT_FALSE(find().has_value());
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(HandoverTest, GivesDescriptorsByName) {
    start();
    auto predecessor = find();
    ASSERT_TRUE(predecessor.has_value());
    for (const char* name : {"a", "b", "a"}) {
        const UniqueFd fd = predecessor->take(name);
        char said = 0;
        EXPECT_EQ(::read(fd.get(), &said, 1), 1);
        EXPECT_EQ(said, name[0]);
    }
    EXPECT_FALSE(predecessor->take("a").is_open());
    EXPECT_TRUE(predecessor->take(HandoverServer::kName).is_open());
}

TEST_F(HandoverTest, ThePathIsTheSuccessorsInTheEnd) {
    start();
    auto predecessor = find();
    ASSERT_TRUE(predecessor.has_value());
    UniqueFd listener = predecessor->take(HandoverServer::kName);
    ASSERT_TRUE(predecessor->say_ready().has_value());
    EXPECT_EQ(num_let_go_, 1);
    ASSERT_TRUE(predecessor->say_serving().has_value());
    EXPECT_TRUE(is_set(handed_over_));
    server_.reset();
    EXPECT_TRUE(std::filesystem::exists(path_));
    start(std::move(listener));
    EXPECT_TRUE(find().has_value());
}

TEST_F(HandoverTest, GoesOnWhenTheSuccessorGoes) {
    start();
    find().reset();
    EXPECT_TRUE(is_set(went_on_));
    EXPECT_EQ(num_let_go_, 0);
    {
        auto predecessor = find();
        ASSERT_TRUE(predecessor.has_value());
        ASSERT_TRUE(predecessor->say_ready().has_value());
    }
    EXPECT_TRUE(is_set(went_on_));
    EXPECT_EQ(num_let_go_, 1);
    EXPECT_TRUE(find().has_value());
}

TEST_F(HandoverTest, WhatCannotBeLetGoIsKept) {
    let_go_ = Error{ErrorCode::kIo, "no", {}};
    start();
    auto predecessor = find();
    ASSERT_TRUE(predecessor.has_value());
    EXPECT_FALSE(predecessor->say_ready().has_value());
    EXPECT_TRUE(is_set(went_on_));
}

TEST_F(HandoverTest, OneProcessAnswersAtAPath) {
    start();
    const auto second = HandoverServer::start(path_, UniqueFd(), hooks(), log_);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ErrorCode::kConflict);
    EXPECT_TRUE(is_set(went_on_));  // its look counts as a successor that went
}

// As one that is being killed: its socket takes connections for some moments more.
TEST_F(HandoverTest, WhoeverGoesAtOnceIsNobody) {
    const int listener = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path_.begin(), path_.end(), address.sun_path);
    ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener, 4), 0);
    auto found = std::async(std::launch::async, [this] { return Predecessor::find(path_); });
    ::close(::accept(listener, nullptr, nullptr));
    const auto predecessor = found.get();
    ASSERT_TRUE(predecessor.has_value()) << predecessor.error().message;
    EXPECT_FALSE(predecessor->has_value());
    ::close(listener);
}

TEST_F(HandoverTest, ReadinessIsSaidWhereItIsAskedFor) {
    auto notices = ReadyNotices::listen(path_);
    ASSERT_TRUE(notices.has_value()) << notices.error().message;
    EXPECT_FALSE(notices->take().has_value());
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
    const auto notifier = Notifier::from_environment();
    ASSERT_TRUE(notifier.has_value());
    notifier->status("starting");
    EXPECT_FALSE(notices->take().has_value());
    notifier->ready("serving");
    EXPECT_EQ(notices->take(), ::getpid());
}

// Two servers in one process stand for two processes.
class ServerHandoverTest : public HttpServerTest {
  protected:
    static HttpRequest get() {
        HttpRequest request;
        request.method = "GET";
        request.target = "/";
        return request;
    }
};

TEST_F(ServerHandoverTest, ASocketIsServedByTheNextOne) {
    const auto say = [](const char* text) {
        return [text](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
            HttpResponse response;
            response.body = text;
            reply->respond(std::move(response));
        };
    };
    SystemClock clock;
    Log log(clock, "test", LogLevel::kError);
    auto first = HttpServer::start(options(), say("first"), log);
    ASSERT_TRUE(first.has_value());
    auto listener = (*first)->share_listener();
    ASSERT_TRUE(listener.has_value());
    const UniqueFd silent = connect_unix(path_);
    // Connections are accepted in order: with this answer the silent one has been, too.
    EXPECT_TRUE(client().send(get()).has_value());
    (*first)->release_listener();
    const UniqueFd waiting = connect_unix(path_);  // nobody has accepted it
    ASSERT_TRUE(waiting.is_open());
    send_text(waiting, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    auto stopping = std::async(std::launch::async, [&] { (*first)->stop(); });
    send_text(silent, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    EXPECT_THAT(read_until(silent, "first"), HasSubstr("first"));
    stopping.get();
    EXPECT_TRUE(std::filesystem::exists(path_));
    auto second = HttpServer::start(options(), say("second"), log, std::move(*listener));
    ASSERT_TRUE(second.has_value());
    EXPECT_THAT(read_until(waiting, "second"), HasSubstr("second"));
    (*second)->stop();
    EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace turnpike::net
