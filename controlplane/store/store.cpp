// The databases, their connections and their locks.
#include "controlplane/store/store.h"

#include <atomic>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <optional>

#include "config/base/failpoint.h"
#include "config/crypto/identifiers.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/data_dir.h"
#include "controlplane/store/ledger_chain.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/models.h"
#include "controlplane/store/moment.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/poster.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/quarantine.h"
#include "controlplane/store/retired.h"
#include "controlplane/store/usage_writer.h"

namespace turnpike::controlplane {
namespace {

// A random id per database: a gateway that knew another one starts over.
Result<StoreIdentity> read_or_make_identity(Database& database, WallTime now) {
    RETURN_IF_ERROR(database
                        .prepare("INSERT INTO identity (singleton, store_id, founded_as, revision) "
                                 "VALUES (1, ?1, ?1, 0) ON CONFLICT (singleton) DO NOTHING")
                        .bind(crypto::new_request_id(now).value())
                        .run());
    return read_identity(database);
}

// The companion of the migrations that brought the chains; see ledger_chain.h and audit.h.
Status begin_chains(Database& database, const std::string& founded_as) {
    auto transaction = Transaction::begin(database, Transaction::Kind::kImmediate);
    RETURN_IF_ERROR(transaction);
    RETURN_IF_ERROR(begin_chain(database, founded_as));
    RETURN_IF_ERROR(begin_audit_chain(database, founded_as));
    return transaction->commit();
}

// What the writer of usage needs of control.db.
UsageWriter::Accounts accounts_of(Store& store, const Clock& clock) {
    UsageWriter::Accounts accounts;
    accounts.find_price = [&store](std::int64_t version) { return find_price(store, version); };
    accounts.check_organisation = [&store](const OrgId& org) -> Status {
        RETURN_IF_ERROR(find_organisation(store, org.value()));
        return {};
    };
    accounts.quarantine = [&store,
                           &clock](const std::vector<QuarantinedRecord>& records) -> Status {
        return store.write_quietly([&](Database& control) {
            return write_quarantine(control, records, clock.wall_now());
        });
    };
    accounts.post = [&store, &clock](Database& file,
                                     const std::string& month) -> Result<std::int64_t> {
        Result<std::int64_t> num_posted = std::int64_t{0};
        RETURN_IF_ERROR(store.write_quietly([&](Database& control) -> Status {
            num_posted = post_events(control, file, month, clock.wall_now());
            RETURN_IF_ERROR(num_posted);
            if (*num_posted > 0) pass_failpoint(Failpoint::kUsagePosting);
            return {};
        }));
        if (*num_posted > 0) pass_failpoint(Failpoint::kUsagePosted);
        return num_posted;
    };
    accounts.retired_months = [&store]() -> Result<std::vector<std::string>> {
        Result<std::vector<std::string>> months = std::vector<std::string>();
        RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
            months = read_retired_months(control);
            RETURN_IF_ERROR(months);
            return {};
        }));
        return months;
    };
    accounts.retire = [&store, &clock](Database& file, const std::string& month) -> Result<bool> {
        Result<bool> is_retired = false;
        RETURN_IF_ERROR(store.write_quietly([&](Database& control) -> Status {
            is_retired = retire_month(control, file, month, clock.wall_now());
            RETURN_IF_ERROR(is_retired);
            return {};
        }));
        return is_retired;
    };
    accounts.is_posted = [&store](const RequestId& id) -> Result<bool> {
        bool is_posted = false;
        RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
            Statement row = control.prepare("SELECT 1 FROM transactions WHERE ref = ?");
            is_posted = row.bind("usage:" + id.value()).step();
            return row.status();
        }));
        return is_posted;
    };
    return accounts;
}

}  // namespace

struct Store::Impl {
    Impl(std::string data_directory, const Clock& wall, Log& to)
        : data_dir(std::move(data_directory)), clock(wall), log(to) {}

    std::string control_path() const { return controlplane::control_path(data_dir); }

    Result<std::unique_ptr<Database>> take_reader() {
        {
            const std::lock_guard lock(reader_mutex);
            if (!readers.empty()) {
                auto reader = std::move(readers.back());
                readers.pop_back();
                return reader;
            }
        }
        return Database::open(control_path(), Database::Access::kRead);
    }

    void return_reader(std::unique_ptr<Database> reader) {
        const std::lock_guard lock(reader_mutex);
        readers.push_back(std::move(reader));
    }

    void notify() {
        const std::lock_guard lock(subscriber_mutex);
        for (const auto& [id, callback] : subscribers) callback();
    }

    const std::string data_dir;
    const Clock& clock;
    Log& log;
    StoreMetrics metrics;
    UniqueFd lock_file;
    StoreIdentity identity;
    std::atomic<std::int64_t> revision{0};

    std::mutex write_mutex;
    std::unique_ptr<Database> writer;
    std::mutex reader_mutex;
    std::vector<std::unique_ptr<Database>> readers;
    std::mutex subscriber_mutex;
    std::map<int, std::function<void()>> subscribers;
    int next_subscription = 1;
    std::unique_ptr<UsageWriter> usage;  // last: its thread uses what stands above
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Store::~Store() {
    impl_->usage.reset();  // its thread posts through this object
}

Result<std::unique_ptr<Store>> Store::open(const std::string& data_dir,
                                           const Clock& clock,
                                           Log& log) {
    auto impl = std::make_unique<Impl>(data_dir, clock, log);
    auto lock_file = lock_data_dir(data_dir);
    RETURN_IF_ERROR(lock_file);
    impl->lock_file = std::move(*lock_file);
    auto writer = Database::open(impl->control_path(), Database::Access::kWrite);
    RETURN_IF_ERROR(writer);
    impl->writer = std::move(*writer);
    const WallTime now = clock.wall_now();
    RETURN_IF_ERROR(migrate(*impl->writer, migrations::control(), kControlApplicationId, now));
    auto identity = read_or_make_identity(*impl->writer, now);
    RETURN_IF_ERROR(identity);
    impl->identity = *identity;
    RETURN_IF_ERROR(begin_chains(*impl->writer, identity->founded_as));
    impl->revision = identity->revision;

    std::unique_ptr<Store> store(new Store(std::move(impl)));
    store->impl_->usage = std::make_unique<UsageWriter>(data_dir, accounts_of(*store, clock),
                                                        store->impl_->metrics, clock, log);
    RETURN_IF_ERROR(store->impl_->usage->start());
    return store;
}

Status Store::check(const std::string& data_dir) {
    const std::string path = data_dir + "/control.db";
    if (!std::filesystem::exists(path)) return {};
    const auto database = Database::open(path, Database::Access::kRead);
    RETURN_IF_ERROR(database);
    return check_migratable(**database, migrations::control(), kControlApplicationId);
}

const std::string& Store::store_id() const {
    return impl_->identity.store_id;
}

const std::string& Store::founded_as() const {
    return impl_->identity.founded_as;
}

std::int64_t Store::revision() const {
    return impl_->revision;
}

const StoreMetrics& Store::metrics() const {
    return impl_->metrics;
}

const std::string& Store::data_dir() const {
    return impl_->data_dir;
}

Result<std::string> Store::snapshot_json(const std::string& store_id, std::int64_t after) const {
    std::string text;
    RETURN_IF_ERROR(read([&](Database& database) -> Status {
        const auto revision = read_revision(database);
        RETURN_IF_ERROR(revision);
        const bool is_full =
            store_id != impl_->identity.store_id || after <= 0 || after > *revision;
        const auto rows = read_published(database, is_full ? 0 : after, is_full);
        RETURN_IF_ERROR(rows);
        text = write_published(impl_->identity.store_id, *revision, is_full, *rows);
        return {};
    }));
    return text;
}

std::shared_ptr<const void> Store::keep_months() const {
    return impl_->usage->keep_months();
}

Result<bool> Store::retire_month(const std::string& month) {
    return impl_->usage->retire(month);
}

std::vector<std::string> Store::months() const {
    return impl_->usage->months();
}

Result<StoreMoment> Store::pin() const {
    // Nothing commits to control.db until all files are pinned. So no watermark passes the end of a
    // usage file that was pinned before, and no event names an organisation or a price that is
    // newer than control.db: the writer of usage checks both against what is committed there.
    // Events that are written meanwhile are beyond the watermark, where the poster of a restored
    // store finds them.
    const auto kept = keep_months();
    const std::lock_guard lock(impl_->write_mutex);
    auto control = pin_database(impl_->control_path());
    RETURN_IF_ERROR(control);
    StoreMoment moment{std::move(*control), {}};
    for (const std::string& month : impl_->usage->months()) {
        auto file = pin_database(impl_->usage->path_of(month));
        RETURN_IF_ERROR(file);
        moment.months.emplace(month, std::move(*file));
    }
    return moment;
}

int Store::subscribe(std::function<void()> on_commit) {
    const std::lock_guard lock(impl_->subscriber_mutex);
    const int id = impl_->next_subscription++;
    impl_->subscribers[id] = std::move(on_commit);
    return id;
}

void Store::unsubscribe(int subscription) {
    const std::lock_guard lock(impl_->subscriber_mutex);
    impl_->subscribers.erase(subscription);
}

void Store::ingest(UsageBatch batch, std::function<void(Result<IngestResult>)> done) {
    impl_->usage->ingest(std::move(batch), std::move(done));
}

Result<IngestResult> Store::ingest_and_wait(UsageBatch batch) {
    std::promise<Result<IngestResult>> promise;
    auto future = promise.get_future();
    ingest(std::move(batch),
           [&promise](Result<IngestResult> result) { promise.set_value(std::move(result)); });
    return future.get();
}

Status Store::wait_until_posted() {
    return impl_->usage->wait_until_posted();
}

Status Store::write(const std::function<Status(Database&)>& work) {
    RETURN_IF_ERROR(write_quietly(work));
    impl_->notify();
    return {};
}

Status Store::write_quietly(const std::function<Status(Database&)>& work) {
    const std::lock_guard lock(impl_->write_mutex);
    const SteadyTime began = impl_->clock.steady_now();
    auto transaction = Transaction::begin(*impl_->writer, Transaction::Kind::kImmediate);
    RETURN_IF_ERROR(transaction);
    RETURN_IF_ERROR(work(*impl_->writer));
    const auto revision = read_revision(*impl_->writer);
    RETURN_IF_ERROR(revision);
    RETURN_IF_ERROR(transaction->commit());
    impl_->revision = *revision;
    impl_->metrics.note_write(impl_->clock.steady_now() - began);
    return {};
}

Status Store::read(const std::function<Status(Database&)>& work) const {
    auto reader = impl_->take_reader();
    RETURN_IF_ERROR(reader);
    Status status;
    {
        auto transaction = Transaction::begin(**reader, Transaction::Kind::kDeferred);
        RETURN_IF_ERROR(transaction);
        status = work(**reader);
    }
    impl_->return_reader(std::move(*reader));
    return status;
}

Status Store::read_months(const MonthVisitor& work) const {
    const auto kept = keep_months();
    for (const std::string& month : impl_->usage->months()) {
        auto file = Database::open(impl_->usage->path_of(month), Database::Access::kRead);
        RETURN_IF_ERROR(file);
        auto transaction = Transaction::begin(**file, Transaction::Kind::kDeferred);
        RETURN_IF_ERROR(transaction);
        const auto goes_on = work(month, **file);
        RETURN_IF_ERROR(goes_on);
        if (!*goes_on) break;
    }
    return {};
}

}  // namespace turnpike::controlplane
