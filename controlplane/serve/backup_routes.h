// The operator's route for backups on the admin socket; see ops/docs/formats/backup.md.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// Makes backups on a thread of its own, one at a time: copies of large files take a while, and the
// admin socket answers others meanwhile.
class BackupRunner {
  public:
    // All outlive it.
    BackupRunner(Store& store, const Clock& clock, Log& log);
    // Cuts off the backup in progress.
    ~BackupRunner();
    BackupRunner(const BackupRunner&) = delete;
    BackupRunner& operator=(const BackupRunner&) = delete;

    // Answers on the thread, with what was copied; at once with 409 while another is made.
    void run(const std::string& dir, const std::shared_ptr<net::HttpReply>& reply);

  private:
    void make(const std::string& dir, net::HttpReply& reply);

    Store& store_;
    const Clock& clock_;
    Log& log_;
    std::atomic<bool> is_ending_ = false;
    std::mutex mutex_;
    bool is_busy_ = false;  // guarded by mutex_
    std::thread thread_;    // guarded by mutex_
};

// POST /admin/v1/backups. `runner` outlives the router.
void add_backup_routes(Router& admin, BackupRunner& runner);

}  // namespace turnpike::controlplane
