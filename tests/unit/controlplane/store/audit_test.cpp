// The audit: every change of an operator has its row, a changed row shows, and rows are cut only
// behind an anchor.
#include "controlplane/store/audit.h"

#include <map>
#include <string>
#include <vector>

#include "controlplane/store/keys.h"
#include "controlplane/store/limits.h"
#include "controlplane/store/prices.h"
#include "controlplane/store/quarantine.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

class Audit : public StoreFixture {
  protected:
    std::vector<AuditRow> rows() const { return list_audit(*store_, {{}, {}, 1000}).value(); }

    AuditReport report() const { return verify_audit(*store_).value(); }

    std::string fault() const { return report().fault.value_or(""); }

    // Three organisations, a day apart.
    void fill() {
        for (const char* name : {"one", "two", "three"}) {
            make_org(name);
            clock_.wall_us += kDayUs;
        }
    }

    // As somebody with the file and another program would.
    Status tamper(const std::string& sql) {
        store_.reset();
        auto file = Database::open(dir_ + "/control.db", Database::Access::kWrite).value();
        Status done = file->execute(sql);
        file.reset();
        open();
        return done;
    }
};

TEST_F(Audit, EveryChangeHasItsRow) {
    const OrgId org = make_org("acme").id;
    const Endpoint endpoint = make_endpoint(org, "acme/pool");
    const auto price = make_name(endpoint.id, "name", price_of(1, 2)).price.version;
    make_name(endpoint.id, "name", price_of(1, 2));  // as a restart does: no change
    crypto::Peppers peppers;
    peppers.by_version.emplace(1, Secret("pepper"));
    const auto key = create_key(*store_, peppers, org, "ci", now()).value();
    ASSERT_TRUE(revoke_key(*store_, key.key.id, now()).has_value());
    ASSERT_TRUE(add_credit(*store_, {org, NanoUsd(5), "", "a", CreditKind::kAdd}, now()));
    ASSERT_TRUE(reverse_transaction(*store_, "credit:" + org.value() + ":a", "typo", now()));
    LimitsRow limits{"organisation:" + org.value(), {}};
    limits.limits.requests_per_minute = 5;
    ASSERT_TRUE(set_limits(*store_, limits, now()).has_value());
    ASSERT_TRUE(set_price(*store_, "name", price_of(3, 4), now(), now()).has_value());
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {make_record(org, 99, 1, 1)}}).has_value());
    const RequestId aside = list_quarantine(*store_, 1).value().at(0).record.request_id;
    ASSERT_TRUE(release_from_quarantine(*store_, aside, price, now()).has_value());
    EndpointChange change;
    change.display_name = "other";
    ASSERT_TRUE(update_endpoint(*store_, endpoint.id, change, "operator", now()).has_value());
    ASSERT_TRUE(remove_model_name(*store_, "name", now()).has_value());
    ASSERT_TRUE(remove_model_name(*store_, "name", now()).has_value());
    ASSERT_TRUE(delete_endpoint(*store_, endpoint.id, "operator", now()).has_value());
    ASSERT_TRUE(note_action(*store_, "replicas.park", "all", "", now()).has_value());

    std::map<std::string, int> counts;
    for (const AuditRow& row : rows()) ++counts[row.action];
    const std::map<std::string, int> expected = {
        {"credit.add", 1},         {"endpoint.create", 1},     {"endpoint.delete", 1},
        {"endpoint.update", 1},    {"key.create", 1},          {"key.revoke", 1},
        {"ledger.reverse", 1},     {"limits.set", 1},          {"name.remove", 1},
        {"name.set", 1},           {"organisation.create", 1}, {"price.set", 2},
        {"quarantine.release", 1}, {"replicas.park", 1}};
    EXPECT_EQ(counts, expected);
    EXPECT_EQ(fault(), "");
    EXPECT_EQ(report().num_rows, static_cast<std::int64_t>(rows().size()));
}

TEST_F(Audit, IsListedNewestFirstFromAMomentAndInPages) {
    fill();
    const auto all = rows();
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].detail, "three");
    EXPECT_EQ(all[0].hash, report().head);
    const auto since = list_audit(*store_, {all[1].at, {}, 10}).value();
    ASSERT_EQ(since.size(), 2u);
    EXPECT_EQ(since[1].detail, "two");
    const auto page = list_audit(*store_, {{}, all[0].id, 1}).value();
    ASSERT_EQ(page.size(), 1u);
    EXPECT_EQ(page[0].detail, "two");
}

TEST_F(Audit, RowsAndLinksAreImmutable) {
    fill();
    for (const char* sql :
         {"UPDATE audit SET actor = 'x'", "DELETE FROM audit", "UPDATE audit_chain SET hash = hash",
          "DELETE FROM audit_chain WHERE audit_id = 0", "DELETE FROM audit_chain",
          "INSERT INTO audit_anchors VALUES (2, 'made up', 2, 0, 'me')"}) {
        EXPECT_FALSE(tamper(sql).has_value()) << sql;
    }
    EXPECT_EQ(fault(), "");
}

TEST_F(Audit, AChangeAnOmissionAndAnInsertionShow) {
    const std::string no_triggers =
        "DROP TRIGGER audit_is_immutable; DROP TRIGGER audit_is_kept; DROP TRIGGER "
        "audit_chain_is_kept; DROP TRIGGER audit_chain_is_immutable;";
    fill();
    ASSERT_TRUE(tamper(no_triggers).has_value());
    ASSERT_TRUE(tamper("UPDATE audit SET actor = 'nobody' WHERE id = 2").has_value());
    EXPECT_NE(fault().find("audit row 2"), std::string::npos) << fault();
    ASSERT_TRUE(tamper("UPDATE audit SET actor = 'operator' WHERE id = 2").has_value());
    EXPECT_EQ(fault(), "");
    ASSERT_TRUE(tamper("CREATE TABLE kept AS SELECT * FROM audit WHERE id = 2; DELETE FROM audit "
                       "WHERE id = 2; DELETE FROM audit_chain WHERE audit_id = 2")
                    .has_value());
    EXPECT_NE(fault().find("audit row 3"), std::string::npos) << fault();
    // The last row leaves no later link that does not fit, but a link without a row.
    ASSERT_TRUE(tamper("DELETE FROM audit WHERE id = 3").has_value());
    EXPECT_NE(fault().find("not there"), std::string::npos) << fault();
}

TEST_F(Audit, ASlippedInRowHasNoLink) {
    fill();
    ASSERT_TRUE(tamper("INSERT INTO audit (at_us, actor, action, subject, detail) VALUES (0, 'a', "
                       "'b', 'c', 'd')")
                    .has_value());
    EXPECT_NE(fault().find("found none"), std::string::npos) << fault();
    make_org("later");
    EXPECT_NE(fault().find("audit row 4"), std::string::npos) << fault();
}

TEST_F(Audit, RowsAreCutBehindAnAnchor) {
    fill();
    const auto before = rows();
    EXPECT_EQ(cut_audit(*store_, before[0].at, "retention", now()).value(), 2);
    const auto after = rows();
    ASSERT_EQ(after.size(), 2u);
    EXPECT_EQ(after[0].action, "audit.cut");
    EXPECT_EQ(after[0].subject, "2");
    EXPECT_NE(after[0].detail.find(before[1].hash), std::string::npos);
    EXPECT_EQ(after[1].hash, before[0].hash);
    EXPECT_EQ(fault(), "");
    EXPECT_EQ(report().num_cut, 2);
    make_org("later");
    EXPECT_EQ(fault(), "");
    clock_.wall_us += kDayUs;
    EXPECT_EQ(cut_audit(*store_, now(), "retention", now()).value(), 3);
    EXPECT_EQ(rows().size(), 1u);
    EXPECT_EQ(report().num_cut, 5);
    // Only what tells of the last cut is older now: it stays.
    clock_.wall_us += kDayUs;
    EXPECT_EQ(cut_audit(*store_, now(), "retention", now()).value(), 0);
    EXPECT_EQ(fault(), "");
}

TEST_F(Audit, AForgedCutShows) {
    fill();
    const std::string hash = rows()[1].hash;
    ASSERT_TRUE(tamper("INSERT INTO audit_anchors VALUES (2, '" + hash +
                       "', 2, 0, 'me'); DELETE FROM audit WHERE id <= 2; DELETE FROM audit_chain "
                       "WHERE audit_id BETWEEN 1 AND 2")
                    .has_value());
    EXPECT_NE(fault().find("no row of the audit tells of the cut"), std::string::npos) << fault();
}

TEST_F(Audit, OlderRowsAreLinkedAtTheFirstStartOnly) {
    fill();
    const std::string head = report().head;
    ASSERT_TRUE(tamper("DROP TRIGGER audit_chain_is_kept; DELETE FROM audit_chain").has_value());
    EXPECT_EQ(report().head, head);
    EXPECT_EQ(fault(), "");
    ASSERT_TRUE(tamper("DELETE FROM audit_chain WHERE audit_id = 2").has_value());
    EXPECT_NE(fault(), "");
}

}  // namespace
}  // namespace turnpike::controlplane
