#include "controlplane/cli/backup_verbs.h"

#include <chrono>
#include <cstdio>
#include <filesystem>

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

// Copies of large files take a while.
constexpr auto kPatience = std::chrono::hours(6);

void print(const json& answer) {
    const json files = answer.value("files", json::array());
    std::int64_t size_bytes = 0;
    for (const json& file : files) size_bytes += file.value("size_bytes", std::int64_t{0});
    const json ledger = answer.value("ledger", json::object());
    std::printf("%s: %zu files, %lld bytes, revision %s, ledger head %s\n",
                cell(answer, "path").c_str(), files.size(), static_cast<long long>(size_bytes),
                cell(answer, "revision").c_str(), cell(ledger, "head").c_str());
}

}  // namespace

int create_backup(const std::string& admin, const std::string& dir, Output output) {
    const auto address = find_admin_address(admin);
    if (!address) return report(address.error());
    AdminClient client(*address, kPatience);
    const std::string path = std::filesystem::absolute(dir).lexically_normal().string();
    const json body{{"path", path}};
    return show(client.call("POST", "/admin/v1/backups", body), output, print);
}

}  // namespace turnpike::controlplane::cli
