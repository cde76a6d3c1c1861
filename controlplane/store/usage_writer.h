// UsageWriter: the one thread that writes usage files. It takes every batch that waits, commits
// them together (one flush per month's file), acknowledges, and then posts to the ledger.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/result.h"
#include "controlplane/store/quarantine.h"
#include "controlplane/store/sqlite.h"
#include "controlplane/store/store.h"
#include "controlplane/store/store_metrics.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {

class UsageWriter {
  public:
    // What it needs of control.db. Called on the writer thread.
    struct Accounts {
        std::function<Result<Price>(std::int64_t version)> find_price;
        std::function<Status(const OrgId&)> check_organisation;
        // Keeps aside, durably, what cannot be priced or placed.
        std::function<Status(const std::vector<QuarantinedRecord>&)> quarantine;
        // Posts at most one round of a month; the result is how many events.
        std::function<Result<std::int64_t>(Database& month_file, const std::string& month)> post;
        // Months whose files are deleted, or are to be.
        std::function<Result<std::vector<std::string>>()> retired_months;
        // Keeps the sums of a month, durably; false while some of it is not posted.
        std::function<Result<bool>(Database& month_file, const std::string& month)> retire;
        // Whether the ledger has the request.
        std::function<Result<bool>(const RequestId&)> is_posted;
    };

    UsageWriter(std::string data_dir,
                Accounts accounts,
                StoreMetrics& metrics,
                const Clock& clock,
                Log& log);
    // Writes what is queued and joins.
    ~UsageWriter();

    // Opens and migrates the files that exist, then starts the thread. Call once.
    Status start();
    void ingest(UsageBatch batch, std::function<void(Result<IngestResult>)> done);
    Status wait_until_posted();
    // Deletes a month's file once its sums are kept; see Store::retire_month.
    Result<bool> retire(const std::string& month);
    // See Store::keep_months.
    std::shared_ptr<const void> keep_months() const;
    // Months with a file, newest first.
    std::vector<std::string> months() const;
    std::string path_of(const std::string& month) const;

  private:
    struct Job {
        UsageBatch batch;
        std::function<void(Result<IngestResult>)> done;
    };

    struct Retirement {
        std::string month;
        std::function<void(Result<bool>)> done;
    };

    struct Prepared {
        std::map<std::string, std::vector<UsageRow>> by_month;
        std::vector<QuarantinedRecord> aside;
        std::int64_t num_repeated = 0;  // of months whose files are deleted
    };

    using Rows = std::map<std::string, std::vector<UsageRow>>;  // by month

    void run();
    void write_jobs(std::deque<Job> jobs);
    Result<bool> retire_now(const std::string& month);
    Status delete_files(const std::string& month) const;
    // Adds to `prepared` unless it fails: then the stores cannot be asked now.
    Status prepare(const UsageBatch& batch, Prepared& prepared);
    Status prepare_record(const UsageRecord& record, const std::string& outbox, Prepared& prepared);
    Result<std::string> place(const UsageRecord& record) const;
    Result<IngestResult> keep(const Prepared& prepared);
    Result<UsageRow> price(const UsageRecord& record);
    Result<IngestResult> insert_rows(const Rows& rows);
    Result<std::vector<Transaction>> begin_months(const Rows& rows);
    Result<Database*> open_month(const std::string& month);
    void post_round();

    const std::string data_dir_;
    const Accounts accounts_;
    StoreMetrics& metrics_;
    const Clock& clock_;
    Log& log_;
    std::map<std::string, std::unique_ptr<Database>> files_;  // of the writer thread
    std::map<std::int64_t, Price> prices_;                    // immutable, so kept
    std::map<std::string, bool> organisations_;               // never deleted, so kept
    std::set<std::string> retired_;                           // of the writer thread

    // Copies of holder_ keep the files. Taken before the store's locks and mutex_.
    mutable std::mutex holder_mutex_;
    const std::shared_ptr<const int> holder_ = std::make_shared<const int>(0);

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> queue_;
    std::deque<Retirement> retirements_;
    std::vector<std::string> months_;
    bool is_busy_ = true;
    bool has_unposted_ = true;
    std::optional<Error> posting_error_;
    bool is_stopping_ = false;
    std::thread thread_;
};

}  // namespace turnpike::controlplane
