#include "controlplane/run/replica_dir.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "config/base/limits.h"
#include "controlplane/run/spawn.h"

namespace turnpike::controlplane {
namespace {

constexpr std::size_t kLogTailBytes = 1024;  // of a reason that people read

Status make_directories(const std::string& path) {
    std::error_code failed;
    std::filesystem::create_directories(path, failed);
    if (failed) return Error{ErrorCode::kIo, "cannot create " + path + ": " + failed.message(), {}};
    return {};
}

}  // namespace

ReplicaDir::ReplicaDir(const std::string& run_dir, const ReplicaId& id)
    : id_(id), path_(run_dir + "/r/" + id.value()) {}

Result<std::vector<ReplicaId>> ReplicaDir::list(const std::string& run_dir) {
    const std::string parent = run_dir + "/r";
    RETURN_IF_ERROR(make_directories(parent));
    std::vector<ReplicaId> ids;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(parent, failed))
        ids.emplace_back(entry.path().filename().string());
    if (failed) return Error{ErrorCode::kIo, "cannot list " + parent + ": " + failed.message(), {}};
    return ids;
}

Result<std::string> ReplicaDir::socket_address() const {
    const std::string path = path_ + "/engine.sock";
    if (path.size() > limits::kMaxUnixSocketPath)
        return invalid_argument("the socket path " + path + " has " + std::to_string(path.size()) +
                                    " bytes, at most " +
                                    std::to_string(limits::kMaxUnixSocketPath) +
                                    " are possible; choose a shorter run_dir",
                                "run_dir");
    return "unix:" + path;
}

Status ReplicaDir::write_settings(const ReplicaSpec& spec, const EngineListen& listen) const {
    RETURN_IF_ERROR(make_directories(path_));
    nlohmann::json settings{
        {"model_dir", spec.model_dir},    {"card", spec.card},
        {"listen", listen.address},       {"replica", id_.value()},
        {"epoch", spec.epoch.value()},    {"lock_file", path_ + "/lock"},
        {"meter_file", path_ + "/meter"}, {"speculative_tokens", spec.speculative_tokens}};
    if (listen.tls) {
        settings["tls"] = {{"certificate", listen.tls->certificate},
                           {"key", listen.tls->key},
                           {"client_ca", listen.tls->ca}};
        settings["address_file"] = address_file();
    }
    std::error_code failed;
    std::filesystem::remove(address_file(), failed);
    if (failed)
        return Error{
            ErrorCode::kIo, "cannot remove " + address_file() + ": " + failed.message(), {}};
    return write_whole_file(settings_file(), settings.dump(2) + "\n");
}

Epoch ReplicaDir::epoch() const {
    const Result<std::string> text = read_whole_file(settings_file());
    if (!text) return Epoch();
    const auto settings = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (!settings.is_object()) return Epoch();
    const auto epoch = settings.find("epoch");
    if (epoch == settings.end() || !epoch->is_number_integer()) return Epoch();
    return Epoch(epoch->get<std::int64_t>());
}

std::string ReplicaDir::address() const {
    const Result<std::string> text = read_whole_file(address_file());
    return text ? text->substr(0, text->find('\n')) : std::string();
}

std::string ReplicaDir::last_log() const {
    return last_lines(log_file(), kLogTailBytes);
}

}  // namespace turnpike::controlplane
