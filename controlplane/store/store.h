// Store: the databases of the control plane, control.db and usage-YYYY-MM.db, under one directory.
// The functions of organisations.h, keys.h, models.h, endpoints.h, replicas.h, ledger.h and usage.h
// work on it. All of them are thread-safe and block for at most a disk flush; writes to control.db
// run one at a time, reads run beside them on connections of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/api/snapshot.h"
#include "controlplane/api/usage_record.h"
#include "controlplane/store/store_metrics.h"

namespace turnpike::controlplane {

class Database;
struct StoreMoment;

// For the file of one month ("2026-11"); false: no further one.
using MonthVisitor = std::function<Result<bool>(const std::string& month, Database& file)>;

struct IngestResult {
    std::int64_t num_new = 0;
    std::int64_t num_repeated = 0;     // request ids that were there already
    std::int64_t num_quarantined = 0;  // kept aside: see quarantine.h
    NanoUsd billed_nano_usd;           // what the new ones cost
    NanoUsd written_off_nano_usd;
};

class Store {
  public:
    // Creates or opens `data_dir`'s databases and migrates them forward. kCorrupt when a database
    // is another program's or newer than this one, or when an applied migration was changed. One
    // process at a time: kConflict while another holds the directory. Events that a crash left
    // unposted are posted by the writer thread at once.
    static Result<std::unique_ptr<Store>> open(const std::string& data_dir,
                                               const Clock& clock,
                                               Log& log);
    // Whether open() would find databases that it can migrate, beside a process that has them open.
    static Status check(const std::string& data_dir);
    // Writes what is queued, then closes.
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    const std::string& store_id() const;
    // The id that the database had when it was made, with which its chains begin: a restored store
    // has another.
    const std::string& founded_as() const;
    // Of the last published row.
    std::int64_t revision() const;
    // The body of GET /internal/v1/snapshot: rows beyond `after`; everything when `store_id` is
    // another one, or `after` is 0 or from a future that this database does not know.
    Result<std::string> snapshot_json(const std::string& store_id, std::int64_t after) const;

    // Thread-safe.
    const StoreMetrics& metrics() const;
    const std::string& data_dir() const;

    // Calls `on_commit` after each commit to control.db but the poster's, on the committing
    // thread; it carries no data, must not block and must not call the store's writing functions.
    // No call is in progress once unsubscribe() has returned.
    int subscribe(std::function<void()> on_commit);
    void unsubscribe(int subscription);

    // Queues the records; `done` runs on the writer thread once they are durable, or with the
    // reason why none of the batch was taken. Batches that wait together share one disk flush.
    void ingest(UsageBatch batch, std::function<void(Result<IngestResult>)> done);
    // The same, waiting.
    Result<IngestResult> ingest_and_wait(UsageBatch batch);
    // Waits until everything ingested before the call is in the ledger.
    Status wait_until_posted();

    // For the files of this folder: one transaction, rolled back unless `work` succeeds.
    Status write(const std::function<Status(Database&)>& work);
    // One consistent view of control.db.
    Status read(const std::function<Status(Database&)>& work) const;
    // The same without waking subscribers: for what only the ledger sees.
    Status write_quietly(const std::function<Status(Database&)>& work);
    // One consistent view of each month's usage file ("2026-11"), newest first, until `work`
    // returns false.
    Status read_months(const MonthVisitor& work) const;
    // No month's file is deleted while what it returns is held: for who compares the files with
    // control.db, before either is read.
    std::shared_ptr<const void> keep_months() const;
    // Deletes a month's file and keeps its sums: see retired.h. False when some of it is not
    // posted, when somebody keeps months, and when there is no such file. Waits for the writer of
    // usage.
    Result<bool> retire_month(const std::string& month);
    // With a file, newest first.
    std::vector<std::string> months() const;
    // One moment of all the files, while it is held: see moment.h.
    Result<StoreMoment> pin() const;

  private:
    struct Impl;
    explicit Store(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace turnpike::controlplane
