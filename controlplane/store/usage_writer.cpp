// The writer thread of usage files.
#include "controlplane/store/usage_writer.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>

#include "config/base/failpoint.h"
#include "controlplane/store/data_dir.h"
#include "controlplane/store/migrate.h"
#include "migrations/migrations.h"

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;

// After an error of posting: it is tried again at this pace, or with the next batch.
constexpr auto kRetryPeriod = 1s;
// A gateway whose clock is further ahead than this would open files of months to come.
constexpr auto kMaxAhead = 24h;
// Each gateway has one delivery under way; more than this waiting means a disk that hangs.
constexpr std::size_t kMaxQueuedBatches = 256;
constexpr std::string_view kFirstMonth = "2020-01";

void count(const IngestResult& written, StoreMetrics& metrics) {
    metrics.usage_ingested.add(written.num_new);
    metrics.usage_repeated.add(written.num_repeated);
    metrics.usage_quarantined.add(written.num_quarantined);
    metrics.billed_nano_usd.add(written.billed_nano_usd.value());
    metrics.written_off_nano_usd.add(written.written_off_nano_usd.value());
}

}  // namespace

UsageWriter::UsageWriter(
    std::string data_dir, Accounts accounts, StoreMetrics& metrics, const Clock& clock, Log& log)
    : data_dir_(std::move(data_dir)),
      accounts_(std::move(accounts)),
      metrics_(metrics),
      clock_(clock),
      log_(log) {}

UsageWriter::~UsageWriter() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

Status UsageWriter::start() {
    const auto retired = accounts_.retired_months();
    RETURN_IF_ERROR(retired);
    retired_.insert(retired->begin(), retired->end());
    // A crash may have come between the sums and the deletion.
    for (const std::string& month : retired_) RETURN_IF_ERROR(delete_files(month));
    std::error_code error;
    std::filesystem::directory_iterator entries(data_dir_, error);
    if (error) return Error{ErrorCode::kIo, data_dir_ + ": " + error.message(), {}};
    for (const auto& entry : entries) {
        const auto month = month_of_file(entry.path().filename().string());
        if (month) RETURN_IF_ERROR(open_month(*month));
    }
    thread_ = std::thread([this] { run(); });
    return {};
}

Result<bool> UsageWriter::retire(const std::string& month) {
    std::promise<Result<bool>> promise;
    auto future = promise.get_future();
    {
        const std::lock_guard lock(mutex_);
        if (is_stopping_) return Error{ErrorCode::kUnavailable, "the store is closing", {}};
        retirements_.push_back(
            {month, [&promise](Result<bool> result) { promise.set_value(std::move(result)); }});
    }
    changed_.notify_all();
    return future.get();
}

std::shared_ptr<const void> UsageWriter::keep_months() const {
    const std::lock_guard lock(holder_mutex_);
    return holder_;
}

Status UsageWriter::delete_files(const std::string& month) const {
    for (const char* suffix : {"", "-wal", "-shm"}) {
        std::error_code failed;
        std::filesystem::remove(path_of(month) + suffix, failed);
        if (failed) return Error{ErrorCode::kIo, path_of(month) + ": " + failed.message(), {}};
    }
    return {};
}

// Whoever reads the files and control.db side by side sees both before this or both after it.
Result<bool> UsageWriter::retire_now(const std::string& month) {
    const std::lock_guard lock(holder_mutex_);
    const auto file = files_.find(month);
    if (file == files_.end() || holder_.use_count() > 1) return false;
    const auto is_retired = accounts_.retire(*file->second, month);
    RETURN_IF_ERROR(is_retired);
    if (!*is_retired) return false;
    retired_.insert(month);
    files_.erase(file);
    {
        const std::lock_guard months_lock(mutex_);
        std::erase(months_, month);
    }
    RETURN_IF_ERROR(delete_files(month));
    return true;
}

std::string UsageWriter::path_of(const std::string& month) const {
    return month_path(data_dir_, month);
}

std::vector<std::string> UsageWriter::months() const {
    const std::lock_guard lock(mutex_);
    return months_;
}

void UsageWriter::ingest(UsageBatch batch, std::function<void(Result<IngestResult>)> done) {
    {
        const std::lock_guard lock(mutex_);
        if (!is_stopping_ && queue_.size() < kMaxQueuedBatches) {
            queue_.push_back({std::move(batch), std::move(done)});
            changed_.notify_all();
            return;
        }
    }
    done(Error{ErrorCode::kUnavailable, "the usage queue is full or closing; repeat", {}});
}

Status UsageWriter::wait_until_posted() {
    std::unique_lock lock(mutex_);
    changed_.wait(
        lock, [this] { return queue_.empty() && !is_busy_ && (!has_unposted_ || posting_error_); });
    if (posting_error_) return *posting_error_;
    return {};
}

void UsageWriter::run() {
    while (true) {
        std::deque<Job> jobs;
        std::deque<Retirement> retirements;
        {
            std::unique_lock lock(mutex_);
            is_busy_ = false;
            changed_.notify_all();
            const auto has_work = [this] {
                return is_stopping_ || !queue_.empty() || !retirements_.empty() ||
                       (has_unposted_ && !posting_error_);
            };
            if (has_unposted_ && posting_error_) {
                changed_.wait_for(lock, kRetryPeriod, has_work);
            } else {
                changed_.wait(lock, has_work);
            }
            if (is_stopping_ && queue_.empty() && retirements_.empty()) return;
            jobs.swap(queue_);
            retirements.swap(retirements_);
            is_busy_ = true;
        }
        if (!jobs.empty()) write_jobs(std::move(jobs));
        post_round();
        for (const Retirement& one : retirements) one.done(retire_now(one.month));
    }
}

void UsageWriter::write_jobs(std::deque<Job> jobs) {
    Prepared all;
    std::vector<std::optional<Error>> refusals;
    for (const Job& job : jobs) {
        Prepared prepared;
        const Status status = prepare(job.batch, prepared);
        refusals.push_back(status ? std::nullopt : std::optional(status.error()));
        if (!status) continue;
        for (auto& [month, more] : prepared.by_month) {
            auto& target = all.by_month[month];
            std::move(more.begin(), more.end(), std::back_inserter(target));
        }
        std::move(prepared.aside.begin(), prepared.aside.end(), std::back_inserter(all.aside));
        all.num_repeated += prepared.num_repeated;
    }
    const SteadyTime began = clock_.steady_now();
    const Result<IngestResult> written = keep(all);
    if (written) {
        metrics_.note_usage_write(clock_.steady_now() - began);
        count(*written, metrics_);
        pass_failpoint(Failpoint::kUsageCommitted);
        const std::lock_guard lock(mutex_);
        has_unposted_ = true;
    } else {
        metrics_.usage_failures.add();
        log_.error("usage_not_written", {{"reason", written.error().message}});
    }
    // New and repeated are known for the flush as a whole; with one batch, which is the rule
    // without load, that is the batch.
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        if (refusals[i]) {
            log_.error("usage_batch_refused",
                       {{"outbox", jobs[i].batch.outbox_id}, {"reason", refusals[i]->message}});
            jobs[i].done(*refusals[i]);
        } else {
            jobs[i].done(written);
        }
    }
}

// What is kept aside comes first: both are idempotent, and nothing may be acknowledged unkept.
Result<IngestResult> UsageWriter::keep(const Prepared& prepared) {
    if (!prepared.aside.empty()) {
        RETURN_IF_ERROR(accounts_.quarantine(prepared.aside));
        for (const QuarantinedRecord& record : prepared.aside) {
            log_.error("usage_quarantined", {{"request_id", record.record.request_id.value()},
                                             {"org", record.record.org.value()},
                                             {"outbox", record.outbox},
                                             {"reason", record.reason}});
        }
    }
    auto result = insert_rows(prepared.by_month);
    if (!result) return result;
    result->num_quarantined = static_cast<std::int64_t>(prepared.aside.size());
    result->num_repeated += prepared.num_repeated;
    return result;
}

Result<std::string> UsageWriter::place(const UsageRecord& record) const {
    auto month = month_of(record.request_id);
    RETURN_IF_ERROR(month);
    const std::string last_month = format_rfc3339(clock_.wall_now() + kMaxAhead).substr(0, 7);
    if (*month < kFirstMonth || *month > last_month) {
        return invalid_argument("the time in request id " + record.request_id.value() +
                                    " is of month " + *month + ", beyond the clock's",
                                "request_id");
    }
    return month;
}

// A record that is wrong is kept aside; a store that cannot be read refuses the batch, which the
// gateway repeats.
Status UsageWriter::prepare(const UsageBatch& batch, Prepared& prepared) {
    for (const UsageRecord& record : batch.records)
        RETURN_IF_ERROR(prepare_record(record, batch.outbox_id, prepared));
    return {};
}

Status UsageWriter::prepare_record(const UsageRecord& record,
                                   const std::string& outbox,
                                   Prepared& prepared) {
    const auto month = place(record);
    if (month && retired_.contains(*month)) {
        // What was billed is in the ledger for good.
        const auto is_posted = accounts_.is_posted(record.request_id);
        RETURN_IF_ERROR(is_posted);
        if (*is_posted) {
            ++prepared.num_repeated;
        } else {
            prepared.aside.push_back(
                {record, outbox, "the usage of its month, " + *month + ", was deleted"});
        }
        return {};
    }
    auto row = month ? price(record) : Result<UsageRow>(month.error());
    if (row) {
        prepared.by_month[*month].push_back(std::move(*row));
        return {};
    }
    const ErrorCode code = row.error().code;
    const bool is_wrong = code == ErrorCode::kNotFound || code == ErrorCode::kInvalidArgument;
    if (!is_wrong) return row.error();
    prepared.aside.push_back({record, outbox, row.error().message});
    return {};
}

Result<UsageRow> UsageWriter::price(const UsageRecord& record) {
    if (!organisations_.contains(record.org.value())) {
        RETURN_IF_ERROR(accounts_.check_organisation(record.org));
        organisations_[record.org.value()] = true;
    }
    UsageRow row{record, NanoUsd(), NanoUsd()};
    // Without tokens there is nothing to price, and a refused request may name no price.
    if (record.usage == TokenUsage()) return row;
    auto found = prices_.find(record.price_version);
    if (found == prices_.end()) {
        const auto price = accounts_.find_price(record.price_version);
        RETURN_IF_ERROR(price);
        found = prices_.emplace(record.price_version, *price).first;
    }
    const NanoUsd cost = cost_of(found->second, record.usage);
    (is_billed(record.outcome) ? row.cost_nano_usd : row.written_off_nano_usd) = cost;
    return row;
}

// One transaction per month's file, committed one after the other. When a later one fails, the
// whole flush is refused and repeated by the gateway, and what was committed is then a repetition.
Result<IngestResult> UsageWriter::insert_rows(const Rows& rows) {
    auto transactions = begin_months(rows);
    RETURN_IF_ERROR(transactions);
    IngestResult result;
    for (const auto& [month, month_rows] : rows) {
        Database& file = *files_.at(month);
        for (const UsageRow& row : month_rows) {
            const auto is_new = insert_event(file, row);
            RETURN_IF_ERROR(is_new);
            ++(*is_new ? result.num_new : result.num_repeated);
            if (!*is_new) continue;
            result.billed_nano_usd = result.billed_nano_usd + row.cost_nano_usd;
            result.written_off_nano_usd = result.written_off_nano_usd + row.written_off_nano_usd;
        }
    }
    for (Transaction& transaction : *transactions) RETURN_IF_ERROR(transaction.commit());
    return result;
}

Result<std::vector<Transaction>> UsageWriter::begin_months(const Rows& rows) {
    std::vector<Transaction> transactions;
    for (const auto& [month, month_rows] : rows) {
        const auto file = open_month(month);
        RETURN_IF_ERROR(file);
        auto transaction = Transaction::begin(**file, Transaction::Kind::kImmediate);
        RETURN_IF_ERROR(transaction);
        transactions.push_back(std::move(*transaction));
    }
    return transactions;
}

Result<Database*> UsageWriter::open_month(const std::string& month) {
    const auto found = files_.find(month);
    if (found != files_.end()) return found->second.get();
    auto file = Database::open(path_of(month), Database::Access::kWrite);
    RETURN_IF_ERROR(file);
    RETURN_IF_ERROR(migrate(**file, migrations::usage(), kUsageApplicationId, clock_.wall_now()));
    Database* opened = file->get();
    files_[month] = std::move(*file);
    const std::lock_guard lock(mutex_);
    months_.push_back(month);
    std::sort(months_.rbegin(), months_.rend());
    return opened;
}

// One transaction per month at most, so that waiting batches are not kept for long.
void UsageWriter::post_round() {
    std::optional<Error> failure;
    bool has_more = false;
    for (const auto& [month, file] : files_) {
        const auto num_posted = accounts_.post(*file, month);
        if (!num_posted) {
            failure = num_posted.error();
            metrics_.usage_post_failures.add();
            log_.error("usage_not_posted", {{"month", month}, {"reason", failure->message}});
        } else if (*num_posted > 0) {
            has_more = true;
            metrics_.usage_posted.add(*num_posted);
        }
    }
    const std::lock_guard lock(mutex_);
    posting_error_ = failure;
    has_unposted_ = has_more || failure;
}

}  // namespace turnpike::controlplane
