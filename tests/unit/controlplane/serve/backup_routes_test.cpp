// Backups by their route: made on a thread of its own, one at a time, and refused by name.
#include "controlplane/serve/backup_routes.h"

#include <condition_variable>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

// A reply that another thread gives.
class LateReply final : public net::HttpReply {
  public:
    void respond(net::HttpResponse answer) override {
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(answer_.has_value()) << "answered twice";
        answer_ = std::move(answer);
        changed_.notify_all();
    }

    void start(int, net::HttpHeaders) override { ADD_FAILURE(); }

    bool write(std::string) override { return false; }

    void finish() override { ADD_FAILURE(); }

    void on_client_gone(std::function<void()>) override {}

    bool is_client_gone() const override { return false; }

    std::size_t backlog_bytes() const override { return 0; }

    net::HttpResponse wait() {
        std::unique_lock lock(mutex_);
        CHECK(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return !!answer_; }));
        return *answer_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<net::HttpResponse> answer_;
};

class BackupRoutes : public StoreFixture {
  protected:
    BackupRoutes() : runner_(std::make_unique<BackupRunner>(*store_, clock_, log_)) {
        add_backup_routes(router_, *runner_);
    }

    std::shared_ptr<LateReply> post(const json& body) {
        auto reply = std::make_shared<LateReply>();
        router_.handle({"POST", "/admin/v1/backups", {}, body.dump()}, reply);
        return reply;
    }

    json call(const json& body, int status) {
        const net::HttpResponse answer = post(body)->wait();
        EXPECT_EQ(answer.status, status) << answer.body;
        return json::parse(answer.body);
    }

    std::unique_ptr<BackupRunner> runner_;
    Router router_;
};

TEST_F(BackupRoutes, AnswerWithTheManifest) {
    const std::string path = dir_ + "/backup";
    const json made = call({{"path", path}}, 200);
    EXPECT_EQ(made["path"], path);
    EXPECT_EQ(made["store_id"], store_->store_id());
    EXPECT_EQ(made["files"][0]["name"], "control.db");
    EXPECT_TRUE(std::filesystem::exists(path + "/manifest.json"));
    EXPECT_EQ(call({{"path", path}}, 409)["error"]["param"], "path");
    call({{"path", dir_ + "/second"}}, 200);
}

TEST_F(BackupRoutes, NonsenseIsNamed) {
    EXPECT_EQ(call(json::object(), 400)["error"]["param"], "path");
    EXPECT_EQ(call({{"path", 5}}, 400)["error"]["param"], "path");
    EXPECT_EQ(call({{"path", "relative"}}, 400)["error"]["param"], "path");
}

// A write that is not committed keeps the first from beginning to copy.
TEST_F(BackupRoutes, AreMadeOneAtATime) {
    std::shared_ptr<LateReply> first;
    ASSERT_TRUE(store_
                    ->write_quietly([&](Database&) -> Status {
                        first = post({{"path", dir_ + "/first"}});
                        const json refused = call({{"path", dir_ + "/second"}}, 409);
                        EXPECT_EQ(refused["error"]["message"],
                                  "another backup is being made; repeat");
                        return {};
                    })
                    .has_value());
    EXPECT_EQ(first->wait().status, 200);
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/second"));
}

}  // namespace
}  // namespace turnpike::controlplane
