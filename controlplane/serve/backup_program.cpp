#include "controlplane/serve/backup_program.h"

#include <cstdio>

#include "controlplane/store/backup.h"
#include "controlplane/store/restore.h"

namespace turnpike::controlplane {
namespace {

void print(const std::string& dir, const BackupReport& report) {
    const BackupManifest& manifest = report.manifest;
    std::printf("%s: store %s, revision %lld, of %s\n", dir.c_str(), manifest.store_id.c_str(),
                static_cast<long long>(manifest.revision), manifest.created_at.c_str());
    std::printf("%zu files, %lld usage events (%lld wait to be posted, %lld in quarantine)\n",
                manifest.files.size(), static_cast<long long>(report.books.num_events),
                static_cast<long long>(report.books.num_unposted),
                static_cast<long long>(report.books.num_quarantined));
    std::printf("ledger: %lld links, head %s\n", static_cast<long long>(manifest.ledger.num_links),
                manifest.ledger.head.c_str());
    std::printf("audit: %lld links, head %s\n", static_cast<long long>(manifest.audit.num_links),
                manifest.audit.head.c_str());
}

}  // namespace

Status print_verified_backup(const std::string& dir) {
    const auto report = verify_backup(dir);
    RETURN_IF_ERROR(report);
    if (report->faults.empty()) {
        print(dir, *report);
        return {};
    }
    std::string text = dir + " cannot be restored";
    for (const std::string& fault : report->faults) text += "\n" + fault;
    return Error{ErrorCode::kCorrupt, text, {}};
}

Status print_restored_backup(const std::string& dir,
                             const std::string& data_dir,
                             const Clock& clock) {
    const auto restored = restore_backup(dir, data_dir, clock.wall_now());
    RETURN_IF_ERROR(restored);
    print(dir, restored->backup);
    std::printf("restored to %s as store %s\n", data_dir.c_str(), restored->store_id.c_str());
    return {};
}

}  // namespace turnpike::controlplane
