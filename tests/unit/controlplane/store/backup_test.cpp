// Backups: one moment of all the files while they are written, verified, and restored so that every
// record that is delivered again counts once.
#include "controlplane/store/backup.h"

#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "config/crypto/digest.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/ledger_chain.h"
#include "controlplane/store/moment.h"
#include "controlplane/store/prices.h"
#include "controlplane/store/restore.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

namespace fs = std::filesystem;

class Backups : public StoreFixture {
  protected:
    Backups()
        : org_(make_org("acme").id),
          price_(make_name(make_endpoint(org_, "acme/pool").id, "name", price_of(3000, 7000))
                     .price.version),
          to_(dir_ + "/backup") {}

    UsageRecord record() { return make_record(org_, price_, 1, 1); }

    std::vector<UsageRecord> records(int number) {
        std::vector<UsageRecord> made;
        for (int i = 0; i < number; ++i) made.push_back(record());
        return made;
    }

    IngestResult deliver(const std::vector<UsageRecord>& records) {
        const auto result = store_->ingest_and_wait({"o", 0, records});
        EXPECT_TRUE(result.has_value()) << result.error().message;
        EXPECT_TRUE(store_->wait_until_posted().has_value());
        return *result;
    }

    BackupManifest back_up() {
        const auto made = create_backup(*store_, to_, now(), kWhole);
        EXPECT_TRUE(made.has_value()) << made.error().message;
        return *made;
    }

    std::string faults() const {
        std::string text;
        const auto report = verify_backup(to_);
        EXPECT_TRUE(report.has_value()) << report.error().message;
        for (const std::string& fault : report->faults) text += fault + "\n";
        return text;
    }

    // The store of the fixture is from now on the restored one.
    RestoredStore restore() {
        store_.reset();
        const std::string data_dir = dir_ + "/restored";
        const auto restored = restore_backup(to_, data_dir, now());
        EXPECT_TRUE(restored.has_value()) << restored.error().message;
        store_ = Store::open(data_dir, clock_, log_).value();
        return *restored;
    }

    NanoUsd charged() const {
        const auto statement = billing_statement(*store_, org_).value();
        EXPECT_TRUE(statement.agrees);
        EXPECT_EQ(statement.num_unposted, 0);
        return statement.rows.at(0).charged_nano_usd;
    }

    // Changes a file as no program of ours would, and makes the manifest say that it is right.
    void tamper(const std::string& name, const std::string& sql) {
        auto file = Database::open(to_ + "/" + name, Database::Access::kWrite).value();
        ASSERT_TRUE(file->execute("PRAGMA journal_mode = DELETE;" + sql).has_value());
        file.reset();
        std::ifstream manifest(to_ + "/manifest.json");
        std::stringstream text;
        text << manifest.rdbuf();
        BackupManifest changed = parse_backup_manifest(text.str()).value();
        for (BackupFile& one : changed.files) one = measured(one.name);
        std::ofstream(to_ + "/manifest.json") << write_backup_manifest(changed);
    }

    BackupFile measured(const std::string& name) const;

    // Delivers without a pause, of an organisation that is there and of one just made, until end().
    class Gateway {
      public:
        explicit Gateway(Backups& test) : thread_([this, &test] { run(test); }) {}

        ~Gateway() {
            if (thread_.joinable()) end();
        }

        std::vector<UsageRecord> end() {
            is_over_ = true;
            thread_.join();
            return delivered_;
        }

        std::atomic<int> num_delivered = 0;

      private:
        void run(Backups& test) {
            for (int i = 0; !is_over_; ++i) {
                const std::string number = std::to_string(i);
                const OrgId org = test.make_org("org-" + number).id;
                const EndpointId endpoint = test.make_endpoint(org, "acme/p-" + number).id;
                const auto version =
                    test.make_name(endpoint, "name-" + number, price_of(1 + i, 2)).price.version;
                std::vector<UsageRecord> batch = test.records(5);
                for (int j = 0; j < 5; ++j) batch.push_back(test.make_record(org, version, 10, 10));
                delivered_.insert(delivered_.end(), batch.begin(), batch.end());
                CHECK(test.store_->ingest_and_wait({"o", 0, batch}).has_value());
                ++num_delivered;
            }
        }

        std::atomic<bool> is_over_ = false;
        std::vector<UsageRecord> delivered_;  // of the thread until end()
        std::thread thread_;
    };

    OrgId org_;
    std::int64_t price_;
    std::string to_;
};

TEST_F(Backups, HoldsWhatIsThereAndVerifies) {
    deliver(records(3));
    const std::string head = verify_chain(*store_).value().head;
    const BackupManifest made = back_up();
    EXPECT_EQ(made.store_id, store_->store_id());
    EXPECT_EQ(made.revision, store_->revision());
    EXPECT_EQ(made.ledger.head, head);
    EXPECT_EQ(made.ledger.num_links, 3);
    EXPECT_EQ(made.created_at, format_rfc3339(now()));
    ASSERT_EQ(made.files.size(), 2u);
    EXPECT_EQ(made.files[0].name, "control.db");
    EXPECT_EQ(made.files[1].name, "usage-2026-11.db");
    EXPECT_EQ(faults(), "");
    EXPECT_EQ(verify_backup(to_).value().books.num_events, 3);
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(to_))
        names.insert(entry.path().filename().string());
    EXPECT_EQ(names, (std::set<std::string>{"control.db", "manifest.json", "usage-2026-11.db"}));

    struct stat status {};

    ASSERT_EQ(::stat(to_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    const auto audit = list_audit(*store_, {{}, {}, 1}).value();
    EXPECT_EQ(audit.at(0).action, "backup.create");
    EXPECT_EQ(audit.at(0).subject, to_);
}

TEST_F(Backups, WantANewAbsolutePath) {
    EXPECT_EQ(create_backup(*store_, "backup", now(), kWhole).error().param, "path");
    EXPECT_EQ(create_backup(*store_, dir_ + "/none/backup", now(), kWhole).error().param, "path");
    fs::create_directory(to_);
    EXPECT_EQ(create_backup(*store_, to_, now(), kWhole).error().code, ErrorCode::kConflict);
    for (const auto& entry : fs::directory_iterator(dir_))
        EXPECT_EQ(entry.path().string().find("partial"), std::string::npos);
}

TEST_F(Backups, OneThatIsCutOffLeavesNothing) {
    deliver(records(1));
    int num_asked = 0;  // once for each file, which are small
    const auto cut_off = create_backup(*store_, to_, now(), [&] { return ++num_asked < 2; });
    EXPECT_EQ(cut_off.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(num_asked, 2);
    for (const auto& entry : fs::directory_iterator(dir_))
        EXPECT_EQ(entry.path().string().find("backup"), std::string::npos) << entry.path();
    EXPECT_NE(list_audit(*store_, {{}, {}, 1}).value().at(0).action, "backup.create");
    back_up();
    EXPECT_EQ(faults(), "");
}

TEST_F(Backups, ARestoredStoreTakesEveryRecordOnce) {
    const auto before = records(5);
    const auto after = records(4);
    deliver(before);
    back_up();
    const std::string old_id = store_->store_id();
    const std::string founded_as = store_->founded_as();
    deliver(after);
    const RestoredStore restored = restore();
    EXPECT_EQ(store_->store_id(), restored.store_id);
    EXPECT_NE(store_->store_id(), old_id);
    EXPECT_EQ(store_->founded_as(), founded_as);
    EXPECT_EQ(charged(), NanoUsd(5 * 10'000));
    // A gateway repeats what it is not sure of.
    IngestResult result = deliver(before);
    EXPECT_EQ(result.num_new, 0);
    EXPECT_EQ(result.num_repeated, 5);
    result = deliver(after);
    EXPECT_EQ(result.num_new, 4);
    EXPECT_EQ(deliver(after).num_repeated, 4);
    EXPECT_EQ(charged(), NanoUsd(9 * 10'000));
    EXPECT_TRUE(reconcile_books(*store_).value().misfits.empty());
    EXPECT_EQ(verify_audit(*store_).value().fault.value_or(""), "");
    EXPECT_EQ(list_audit(*store_, {{}, {}, 1}).value().at(0).action, "store.restore");
}

TEST_F(Backups, AGatewayThatKnowsTheOldStoreGetsEverything) {
    back_up();
    const std::string old_id = store_->store_id();
    const std::int64_t revision = store_->revision();
    restore();
    EXPECT_EQ(store_->revision(), revision);
    const auto snapshot = parse_snapshot(store_->snapshot_json(old_id, revision).value()).value();
    EXPECT_TRUE(snapshot.is_full);
    EXPECT_EQ(snapshot.store_id, store_->store_id());
    EXPECT_FALSE(snapshot.organisations.empty());
}

// What is read of usage-2026-11.db and of control.db fits, in each of many moments between commits:
// no watermark beyond the last event, no event of an organisation or a price that is not there.
TEST_F(Backups, AMomentIsOneOfAllTheFiles) {
    deliver(records(1));
    Gateway gateway(*this);
    int num_moments = 0;
    for (; gateway.num_delivered < 100; ++num_moments) {
        const auto moment = store_->pin().value();
        Database& control = *moment.control.database;
        Database& file = *moment.months.at("2026-11").database;
        Statement posted = control.prepare("SELECT sequence FROM posted");
        Statement last = file.prepare("SELECT max(sequence) FROM events");
        ASSERT_TRUE(posted.step() && last.step());
        ASSERT_LE(posted.integer(0), last.integer(0));
        Statement newest = file.prepare("SELECT org, price_version FROM events ORDER BY sequence");
        std::set<std::pair<std::string, std::int64_t>> named;
        while (newest.step()) named.emplace(newest.text(0), newest.integer(1));
        for (const auto& [org, version] : named) {
            Statement known = control.prepare(
                "SELECT 1 FROM organisations o, prices p WHERE o.id = ? AND p.version = ?");
            ASSERT_TRUE(known.bind(org).bind(version).step()) << org << " " << version;
        }
    }
    EXPECT_GT(num_moments, 0);
    gateway.end();
}

// A record can name a price that is newer than the backup: no price made after the restore has its
// version.
TEST_F(Backups, PriceVersionsThatWereLostAreNotGivenAgain) {
    back_up();
    const auto lost = set_price(*store_, "name", price_of(9, 9), now(), now()).value();
    const UsageRecord record = make_record(org_, lost.price.version, 1, 1);
    restore();
    const auto made = set_price(*store_, "name", price_of(5, 5), now(), now()).value();
    EXPECT_GT(made.price.version, lost.price.version);
    EXPECT_EQ(deliver({record}).num_quarantined, 1);
}

TEST_F(Backups, AStoreWithoutPricesIsRestored) {
    store_.reset();
    std::filesystem::remove_all(dir_);
    open();
    back_up();
    restore();
    const OrgId org = make_org("acme").id;
    EXPECT_GT(make_name(make_endpoint(org, "acme/pool").id, "name", price_of(1, 1)).price.version,
              1'000'000);
}

// Organisations are made, priced and billed all the while; every backup is verified, one restored.
TEST_F(Backups, FitWhileUsageComesIn) {
    Gateway gateway(*this);
    std::vector<std::string> backups;
    for (int i = 0; i < 8; ++i) {
        const int before = gateway.num_delivered;
        backups.push_back(dir_ + "/backup-" + std::to_string(i));
        const auto made = create_backup(*store_, backups.back(), now(), kWhole);
        ASSERT_TRUE(made.has_value()) << made.error().message;
        while (gateway.num_delivered < before + 2) std::this_thread::yield();
    }
    const std::vector<UsageRecord> delivered = gateway.end();
    for (const std::string& backup : backups) {
        to_ = backup;
        EXPECT_EQ(faults(), "");
    }
    const auto whole = billing_statement(*store_, std::nullopt).value();
    to_ = backups[3];
    restore();
    EXPECT_GT(deliver(delivered).num_new, 0);
    // Everything is there but the organisations that are newer than the backup, whose records wait
    // in quarantine.
    const auto books = reconcile_books(*store_).value();
    for (const Misfit& misfit : books.misfits) EXPECT_EQ(misfit.check, "quarantine") << misfit.what;
    EXPECT_EQ(books.num_events + books.num_quarantined,
              static_cast<std::int64_t>(delivered.size()));
    EXPECT_EQ(books.num_unposted, 0);
    EXPECT_GT(whole.usage_cost_nano_usd, books.usage_cost_nano_usd);
}

TEST_F(Backups, DamageIsTold) {
    deliver(records(1));
    back_up();
    std::fstream file(to_ + "/usage-2026-11.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5000);
    file.put('x');
    file.close();
    EXPECT_NE(faults().find("usage-2026-11.db: expected SHA-256"), std::string::npos) << faults();
    fs::resize_file(to_ + "/usage-2026-11.db", 4096);
    EXPECT_NE(faults().find("bytes, found 4096"), std::string::npos) << faults();
    fs::remove(to_ + "/usage-2026-11.db");
    EXPECT_NE(faults().find("cannot open"), std::string::npos) << faults();
    std::ofstream(to_ + "/usage-2026-10.db") << "stray";
    EXPECT_NE(faults().find("usage-2026-10.db is not of this backup"), std::string::npos);
    store_.reset();
    EXPECT_EQ(restore_backup(to_, dir_ + "/restored", now()).error().code, ErrorCode::kCorrupt);
    EXPECT_FALSE(fs::exists(dir_ + "/restored"));
    fs::remove(to_ + "/manifest.json");
    EXPECT_FALSE(verify_backup(to_).has_value());
}

TEST_F(Backups, BooksThatDoNotFitAreTold) {
    deliver(records(3));
    back_up();
    tamper("control.db", "UPDATE accounts SET balance_nano_usd = 7 WHERE kind = 'revenue'");
    EXPECT_NE(faults().find("has a balance of"), std::string::npos) << faults();
    tamper("control.db",
           "DROP TRIGGER audit_is_immutable; UPDATE audit SET actor = 'x' WHERE id = 1");
    EXPECT_NE(faults().find("audit row 1"), std::string::npos) << faults();
    tamper(
        "control.db",
        "DROP TRIGGER transactions_are_immutable; UPDATE transactions SET note = 'x' WHERE id = 2");
    EXPECT_NE(faults().find("transaction 2"), std::string::npos) << faults();
}

// What copying in the wrong order would make: the watermark is ahead of the events.
TEST_F(Backups, AUsageFileThatIsOlderThanTheWatermarkIsTold) {
    deliver(records(3));
    back_up();
    tamper("usage-2026-11.db",
           "DROP TRIGGER events_are_kept; DELETE FROM events WHERE sequence = 3");
    EXPECT_NE(faults().find("ends with event 2, and 3 were posted"), std::string::npos) << faults();
}

TEST_F(Backups, AreNotRestoredOverADatabase) {
    deliver(records(1));
    back_up();
    EXPECT_EQ(restore_backup(to_, dir_, now()).error().code, ErrorCode::kConflict);  // in use
    store_.reset();
    const auto refused = restore_backup(to_, dir_, now());
    EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
    EXPECT_NE(refused.error().message.find("has a database"), std::string::npos);
    const std::string data_dir = dir_ + "/restored";
    fs::create_directory(data_dir);
    std::ofstream(data_dir + "/usage-2026-11.db") << "somebody's";
    EXPECT_EQ(restore_backup(to_, data_dir, now()).error().code, ErrorCode::kConflict);
}

TEST_F(Backups, ARestoreThatWasCutOffIsMadeAnew) {
    deliver(records(1));
    back_up();
    const std::string data_dir = dir_ + "/restored";
    fs::create_directory(data_dir);
    std::ofstream(data_dir + "/restoring-control.db") << "half";
    std::ofstream(data_dir + "/usage-2026-11.db") << "moved already";
    restore();
    EXPECT_EQ(charged(), NanoUsd(10'000));
    EXPECT_FALSE(fs::exists(data_dir + "/restoring-control.db"));
}

BackupFile Backups::measured(const std::string& name) const {
    std::ifstream file(to_ + "/" + name, std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    const std::string text = bytes.str();
    return {name, static_cast<std::int64_t>(text.size()), crypto::to_hex(crypto::sha256(text))};
}

}  // namespace
}  // namespace turnpike::controlplane
