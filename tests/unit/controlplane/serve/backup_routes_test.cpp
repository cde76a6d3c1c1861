// Backups by their route: made on a thread of its own, one at a time, and refused by name.
#include "controlplane/serve/backup_routes.h"

#include <condition_variable>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/unit/controlplane/serve/late_reply.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

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
