// The writer thread of usage files.
#include "controlplane/store/usage_writer.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

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

}  // namespace

UsageWriter::UsageWriter(std::string data_dir, Accounts accounts, const Clock& clock, Log& log)
    : data_dir_(std::move(data_dir)), accounts_(std::move(accounts)), clock_(clock), log_(log) {}

UsageWriter::~UsageWriter() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

Status UsageWriter::start() {
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
        {
            std::unique_lock lock(mutex_);
            is_busy_ = false;
            changed_.notify_all();
            const auto has_work = [this] {
                return is_stopping_ || !queue_.empty() || (has_unposted_ && !posting_error_);
            };
            if (has_unposted_ && posting_error_) {
                changed_.wait_for(lock, kRetryPeriod, has_work);
            } else {
                changed_.wait(lock, has_work);
            }
            if (is_stopping_ && queue_.empty()) return;
            jobs.swap(queue_);
            is_busy_ = true;
        }
        if (!jobs.empty()) write_jobs(std::move(jobs));
        post_round();
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
    }
    const Result<IngestResult> written = keep(all);
    if (written) {
        pass_failpoint(Failpoint::kUsageCommitted);
        const std::lock_guard lock(mutex_);
        has_unposted_ = true;
    } else {
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
    if (result) result->num_quarantined = static_cast<std::int64_t>(prepared.aside.size());
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
    for (const UsageRecord& record : batch.records) {
        const auto month = place(record);
        auto row = month ? price(record) : Result<UsageRow>(month.error());
        if (row) {
            prepared.by_month[*month].push_back(std::move(*row));
            continue;
        }
        const ErrorCode code = row.error().code;
        const bool is_wrong = code == ErrorCode::kNotFound || code == ErrorCode::kInvalidArgument;
        if (!is_wrong) return row.error();
        prepared.aside.push_back({record, batch.outbox_id, row.error().message});
    }
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
            log_.error("usage_not_posted", {{"month", month}, {"reason", failure->message}});
        } else if (*num_posted > 0) {
            has_more = true;
        }
    }
    const std::lock_guard lock(mutex_);
    posting_error_ = failure;
    has_unposted_ = has_more || failure;
}

}  // namespace turnpike::controlplane
