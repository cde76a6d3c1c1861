#include "controlplane/serve/backup_routes.h"

#include "controlplane/serve/body.h"
#include "controlplane/store/backup.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

json to_json(const std::string& dir, const BackupManifest& manifest) {
    json object = json::parse(write_backup_manifest(manifest));
    object["path"] = dir;
    return object;
}

Result<std::string> path_of_body(const std::string& text) {
    auto body = Body::parse(text);
    RETURN_IF_ERROR(body);
    std::string path = body->text("path");
    RETURN_IF_ERROR(body->finish());
    return path;
}

}  // namespace

BackupRunner::BackupRunner(Store& store, const Clock& clock, Log& log)
    : store_(store), clock_(clock), log_(log) {}

BackupRunner::~BackupRunner() {
    is_ending_ = true;
    if (thread_.joinable()) thread_.join();
}

void BackupRunner::make(const std::string& dir, net::HttpReply& reply) {
    const auto manifest =
        create_backup(store_, dir, clock_.wall_now(), [this] { return !is_ending_; });
    {
        const std::lock_guard lock(mutex_);
        is_busy_ = false;
    }
    if (manifest) {
        log_.info("backup_made", {{"path", dir}, {"revision", manifest->revision}});
        reply.respond(json_response(200, dump(to_json(dir, *manifest))));
    } else {
        log_.error("backup_failed", {{"path", dir}, {"reason", manifest.error().message}});
        reply.respond(error_response(manifest.error()));
    }
}

void BackupRunner::run(const std::string& dir, const std::shared_ptr<net::HttpReply>& reply) {
    const std::lock_guard lock(mutex_);
    if (is_busy_) {
        const Error error{ErrorCode::kConflict, "another backup is being made; repeat", {}};
        return reply->respond(error_response(error));
    }
    // The one before has nothing left to do but to answer.
    if (thread_.joinable()) thread_.join();
    is_busy_ = true;
    thread_ = std::thread([this, dir, reply] { make(dir, *reply); });
}

void add_backup_routes(Router& admin, BackupRunner& runner) {
    admin.add_deferred("POST", "/admin/v1/backups",
                       [&](const net::HttpRequest& request, const PathArguments&,
                           const std::shared_ptr<net::HttpReply>& reply) {
                           const auto path = path_of_body(request.body);
                           if (!path) return reply->respond(error_response(path.error()));
                           runner.run(*path, reply);
                       });
}

}  // namespace turnpike::controlplane
