// Properties of the store: money is conserved whatever is repeated, reordered or cut short, also
// by kill -9; and the deltas of snapshots add up to the whole.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "config/crypto/identifiers.h"
#include "controlplane/store/credit.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/keys.h"
#include "controlplane/store/ledger.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/reconcile.h"
#include "controlplane/store/replicas.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {
namespace {

class FixedClock final : public Clock {
  public:
    WallTime wall_now() const override { return from_unix_us(1'795'435'200'000'000); }

    SteadyTime steady_now() const override { return SteadyTime(); }
};

class StoreProperties : public testing::TestWithParam<unsigned> {
  protected:
    StoreProperties() : log_(clock_, "test", LogLevel::kError), random_(GetParam()) {
        std::string pattern = testing::TempDir() + "property.XXXXXX";
        CHECK(::mkdtemp(pattern.data()) != nullptr);
        dir_ = pattern;
    }

    ~StoreProperties() override {
        store_.reset();
        std::filesystem::remove_all(dir_);
    }

    void open() {
        store_.reset();
        auto store = Store::open(dir_, clock_, log_);
        ASSERT_TRUE(store.has_value()) << store.error().message;
        store_ = std::move(*store);
    }

    // Two organisations and two priced names.
    void seed_accounts() {
        for (const char* name : {"acme", "globex"}) {
            orgs_.push_back(create_organisation(*store_, name, now()).value().id);
        }
        NewEndpoint request;
        request.wanted.name = "acme/pool";
        request.wanted.owner = orgs_[0];
        const EndpointId endpoint = create_endpoint(*store_, request, now()).value().id;
        for (const std::int64_t price : {3, 50}) {
            ModelName name;
            name.name = "model-" + std::to_string(price);
            name.endpoint = endpoint;
            const Price wanted{0, NanoUsd(price * 1000), NanoUsd(price * 100),
                               NanoUsd(price * 2000), NanoUsd()};
            prices_.push_back(put_model_name(*store_, name, wanted, now()).value().price);
        }
    }

    std::size_t below(std::size_t bound) {
        return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_);
    }

    // Of this month or the one before.
    UsageRecord random_record() {
        UsageRecord record;
        const auto age = std::chrono::hours(below(2) * 24 * 30);
        record.request_id = crypto::new_request_id(now() - age);
        record.org = orgs_[below(orgs_.size())];
        record.key = KeyId("key_1");
        record.model = "model";
        record.price_version = prices_[below(prices_.size())].version;
        record.outcome = static_cast<Outcome>(below(5));
        const auto prompt = static_cast<TokenCount>(below(1000));
        record.usage = {prompt, prompt / 2, static_cast<TokenCount>(below(1000)), 0};
        if (record.outcome == Outcome::kRefused) record.usage = {};
        return record;
    }

    // What is charged.
    NanoUsd cost(const UsageRecord& record) const {
        return is_billed(record.outcome) ? full_cost(record) : NanoUsd();
    }

    // Charged or written off.
    NanoUsd full_cost(const UsageRecord& record) const {
        for (const Price& price : prices_) {
            if (price.version == record.price_version) return cost_of(price, record.usage);
        }
        return NanoUsd();
    }

    WallTime now() const { return clock_.wall_now(); }

    FixedClock clock_;
    Log log_;
    std::mt19937 random_;
    std::string dir_;
    std::unique_ptr<Store> store_;
    std::vector<OrgId> orgs_;
    std::vector<Price> prices_;
};

// What the books should say, kept by the simplest means.
struct Model {
    std::map<RequestId, UsageRecord> records;
    std::map<OrgId, NanoUsd> credited;
};

class Money : public StoreProperties {
  protected:
    void add_random_credit() {
        const OrgId org = orgs_[below(orgs_.size())];
        const std::string key = "k" + std::to_string(below(6));
        const NanoUsd amount(static_cast<std::int64_t>(std::hash<std::string>{}(key) % 1'000'000) +
                             1);
        const bool is_new = credit_keys_.insert(org.value() + key).second;
        ASSERT_TRUE(add_credit(*store_, {org, amount, "", key}, now()).has_value());
        if (is_new) model_.credited[org] = model_.credited[org] + amount;
    }

    std::vector<UsageRecord> random_records() {
        std::vector<UsageRecord> records;
        for (std::size_t i = below(30) + 1; i > 0; --i) {
            const bool repeats = !model_.records.empty() && below(3) == 0;
            records.push_back(
                repeats ? std::next(model_.records.begin(),
                                    static_cast<std::ptrdiff_t>(below(model_.records.size())))
                              ->second
                        : random_record());
        }
        std::shuffle(records.begin(), records.end(), random_);
        return records;
    }

    void ingest_random_batch() {
        const std::vector<UsageRecord> records = random_records();
        ASSERT_TRUE(store_->ingest_and_wait({"o", 0, records}).has_value());
        for (const UsageRecord& record : records) model_.records[record.request_id] = record;
    }

    // As after a crash between the commit of the usage file and the posting.
    void leave_unposted_events() {
        std::vector<UsageRecord> records = random_records();
        store_.reset();
        for (const UsageRecord& record : records) {
            const std::string path = dir_ + "/usage-" + month_of(record.request_id).value() + ".db";
            if (!std::filesystem::exists(path)) continue;
            auto file = Database::open(path, Database::Access::kWrite).value();
            UsageRow row{record, NanoUsd(), NanoUsd()};
            row.cost_nano_usd = cost(record);
            row.written_off_nano_usd = full_cost(record) - cost(record);
            ASSERT_TRUE(insert_event(*file, row).has_value());
            model_.records[record.request_id] = record;
        }
        open();
    }

    void expect_books_agree() {
        ASSERT_TRUE(store_->wait_until_posted().has_value());
        const BillingStatement statement = billing_statement(*store_, std::nullopt).value();
        EXPECT_TRUE(statement.agrees);
        const auto books = reconcile_books(*store_).value();
        EXPECT_TRUE(books.misfits.empty()) << books.misfits.front().what;
        EXPECT_EQ(statement.ledger_sum_nano_usd, NanoUsd());
        EXPECT_EQ(statement.num_unposted, 0);
        for (const BillingRow& row : statement.rows) {
            NanoUsd charged;
            for (const auto& [id, record] : model_.records) {
                if (record.org == row.org) charged = charged + cost(record);
            }
            EXPECT_EQ(row.charged_nano_usd, charged);
            EXPECT_EQ(row.credited_nano_usd, model_.credited[row.org]);
            EXPECT_EQ(row.balance_nano_usd, model_.credited[row.org] - charged);
        }
        const UsageTotals totals = list_usage(*store_, std::nullopt, 1).value().totals;
        EXPECT_EQ(totals.num_requests + totals.num_written_off,
                  static_cast<std::int64_t>(model_.records.size()));
    }

    Model model_;
    std::set<std::string> credit_keys_;
};

TEST_P(Money, IsConservedUnderDuplicatesReorderingAndReopening) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()));
    open();
    seed_accounts();
    for (int i = 0; i < 25; ++i) {
        const std::size_t choice = below(8);
        if (choice == 0) {
            open();
        } else if (choice == 1) {
            leave_unposted_events();
        } else if (choice < 4) {
            add_random_credit();
        } else {
            ingest_random_batch();
        }
        ASSERT_FALSE(HasFatalFailure());
    }
    expect_books_agree();
    open();
    expect_books_agree();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Money, testing::Values(1, 2, 3, 4));

class Killed : public StoreProperties {
  protected:
    // Ingests until it is killed and tells each acknowledged id through the pipe.
    [[noreturn]] void ingest_for_ever(int pipe_fd) {
        open();
        while (true) {
            UsageBatch batch{"o", 0, {}};
            for (std::size_t i = below(20) + 1; i > 0; --i)
                batch.records.push_back(random_record());
            if (!store_->ingest_and_wait(batch)) ::_exit(1);
            std::string ids;
            for (const UsageRecord& record : batch.records) ids += record.request_id.value();
            if (::write(pipe_fd, ids.data(), ids.size()) < 0) ::_exit(2);
        }
    }

    // What was acknowledged until the kill.
    std::set<std::string> kill_after(std::size_t num_ids) {
        int ends[2];
        CHECK(::pipe(ends) == 0);
        const pid_t child = ::fork();
        if (child == 0) {
            ::close(ends[0]);
            ingest_for_ever(ends[1]);
        }
        ::close(ends[1]);
        std::string ids;
        char buffer[26];
        bool is_killed = false;
        ssize_t num_read = 0;
        while ((num_read = ::read(ends[0], buffer, sizeof(buffer))) > 0) {
            ids.append(buffer, static_cast<std::size_t>(num_read));
            if (!is_killed && ids.size() >= num_ids * 26) {
                ::kill(child, SIGKILL);
                is_killed = true;
            }
        }
        ::close(ends[0]);
        int status = 0;
        CHECK(::waitpid(child, &status, 0) == child);
        EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;
        std::set<std::string> acknowledged;
        for (std::size_t i = 0; i + 26 <= ids.size(); i += 26)
            acknowledged.insert(ids.substr(i, 26));
        return acknowledged;
    }
};

TEST_P(Killed, NothingAcknowledgedIsLostAndNothingIsBilledTwice) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()));
    open();
    seed_accounts();
    std::set<std::string> acknowledged;
    for (int round = 0; round < 5; ++round) {
        store_.reset();  // the child needs the directory, and fork() a process without threads
        random_.seed(GetParam() * 100 + static_cast<unsigned>(round));
        acknowledged.merge(kill_after(below(400) + 1));
        open();
        ASSERT_TRUE(store_->wait_until_posted().has_value());
        const BillingStatement statement = billing_statement(*store_, std::nullopt).value();
        EXPECT_TRUE(statement.agrees);
        const auto books = reconcile_books(*store_).value();
        EXPECT_TRUE(books.misfits.empty()) << books.misfits.front().what;
        EXPECT_EQ(statement.num_unposted, 0);
    }
    std::set<std::string> stored;
    const UsageListing listing = list_usage(*store_, std::nullopt, 1'000'000).value();
    for (const UsageRow& row : listing.rows) {
        EXPECT_TRUE(stored.insert(row.record.request_id.value()).second);
    }
    for (const std::string& id : acknowledged) EXPECT_TRUE(stored.contains(id)) << id;
    EXPECT_GT(acknowledged.size(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Killed, testing::Values(1, 2));

class Deltas : public StoreProperties {
  protected:
    using Rows = std::map<std::string, std::string>;

    template <class Row>
    static void apply(const char* kind, const std::vector<Change<Row>>& changes, Rows& rows) {
        for (const Change<Row>& change : changes) {
            if (change.row) {
                rows[kind + change.id] = write_row(*change.row);
            } else {
                rows.erase(kind + change.id);
            }
        }
    }

    // What a gateway does with a snapshot.
    void take(const std::string& text, Rows& rows) {
        const Snapshot snapshot = parse_snapshot(text).value();
        if (snapshot.is_full) rows.clear();
        apply("o ", snapshot.organisations, rows);
        apply("k ", snapshot.keys, rows);
        apply("m ", snapshot.models, rows);
        apply("e ", snapshot.endpoints, rows);
        revision_ = snapshot.revision;
    }

    void change_something() {
        const std::string name = "n" + std::to_string(below(5));
        const std::size_t choice = below(7);
        if (choice == 0) {
            static_cast<void>(create_organisation(*store_, name, now()));
        } else if (choice == 1) {
            static_cast<void>(create_key(*store_, peppers_, orgs_[below(2)], name, now()));
        } else if (choice == 2) {
            const auto keys = list_keys(*store_, std::nullopt).value();
            if (!keys.empty()) {
                static_cast<void>(revoke_key(*store_, keys[below(keys.size())].id, now()));
            }
        } else {
            change_an_endpoint(choice, name);
        }
    }

    void change_an_endpoint(std::size_t choice, const std::string& name) {
        const auto endpoints = list_endpoints(*store_, std::nullopt).value();
        if (choice == 3 || endpoints.empty()) {
            NewEndpoint request;
            request.wanted.name = crypto::new_uuid4();
            request.wanted.owner = orgs_[below(2)];
            request.published = ModelName{};
            static_cast<void>(create_endpoint(*store_, request, now()).value());
            return;
        }
        const EndpointId id = endpoints[below(endpoints.size())].id;
        if (choice == 4) {
            static_cast<void>(delete_endpoint(*store_, id, "test", now()));
        } else if (choice == 5) {
            ModelName model;
            model.name = name;
            model.endpoint = id;
            const Price price{0, NanoUsd(static_cast<std::int64_t>(below(3))), {}, {}, {}};
            static_cast<void>(put_model_name(*store_, model, price, now()));
        } else {
            const ReplicaStart start{ReplicaId(id.value() + "-" + std::to_string(below(2))), id, 0,
                                     1, "unix:/x"};
            const Replica replica = begin_replica_start(*store_, start, now()).value();
            const ReplicaChange change{replica.id, replica.epoch,
                                       static_cast<ReplicaState>(below(7)), "", std::nullopt};
            static_cast<void>(set_replica_state(*store_, change, now()));
        }
    }

    std::int64_t revision_ = 0;
    crypto::Peppers peppers_{{{1, Secret(std::string(32, 'p'))}}};
};

TEST_P(Deltas, AddUpToTheWhole) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()));
    open();
    seed_accounts();
    Rows followed;
    for (int i = 0; i < 60; ++i) {
        change_something();
        if (below(3) == 0)
            take(store_->snapshot_json(store_->store_id(), revision_).value(), followed);
    }
    take(store_->snapshot_json(store_->store_id(), revision_).value(), followed);
    Rows whole;
    take(store_->snapshot_json(store_->store_id(), 0).value(), whole);
    EXPECT_EQ(followed, whole);
    EXPECT_EQ(revision_, store_->revision());
    EXPECT_FALSE(whole.empty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, Deltas, testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace turnpike::controlplane
