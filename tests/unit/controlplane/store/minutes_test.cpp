// Minutes of dedicated replicas: once each, balanced, on the invoice, and seen by every check.
#include "controlplane/store/minutes.h"

#include "controlplane/store/invoice.h"
#include "controlplane/store/reconcile.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

constexpr std::int64_t kMinuteUs = 60'000'000;
const NanoUsd kPrice(720'000'000);  // 72 cents

class Minutes : public StoreFixture {
  protected:
    Minutes() : org_(make_org("acme").id), endpoint_(make_endpoint(org_, "acme/model-1")) {
        Price price;
        price.per_minute_nano_usd = kPrice;
        make_name(endpoint_.id, endpoint_.name, price);
    }

    ReadyReplica ready(int index, const std::string& name = "acme/model-1") const {
        return {ReplicaId("r" + std::to_string(index)), endpoint_.id, name, org_, index};
    }

    int book(const std::vector<ReadyReplica>& replicas) {
        return book_minutes(*store_, replicas, now()).value();
    }

    NanoUsd balance() { return find_organisation(*store_, org_.value()).value().balance_nano_usd; }

    void expect_books_agree() {
        EXPECT_TRUE(billing_statement(*store_, std::nullopt).value().agrees);
        EXPECT_TRUE(reconcile_books(*store_).value().misfits.empty());
    }

    OrgId org_;
    Endpoint endpoint_;
};

TEST_F(Minutes, EachIsBookedOnceWhoeverAsks) {
    EXPECT_EQ(book({ready(0), ready(1)}), 2);
    EXPECT_EQ(book({ready(0), ready(1), ready(2)}), 1);
    clock_.wall_us += kMinuteUs - 1;  // the clock was at a full minute
    EXPECT_EQ(book({ready(0)}), 0);
    clock_.wall_us += 1;
    open();  // a control plane that starts anew
    EXPECT_EQ(book({ready(0)}), 1);
    EXPECT_EQ(balance(), -multiply(kPrice, 4));
    expect_books_agree();
    const BillingStatement statement = billing_statement(*store_, org_).value();
    EXPECT_EQ(statement.rows.front().minutes_nano_usd, multiply(kPrice, 4));
    EXPECT_EQ(statement.rows.front().charged_nano_usd, NanoUsd());
}

TEST_F(Minutes, APlaceIsPaidOnceWhicheverReplicaHoldsIt) {
    ReadyReplica updated = ready(0);
    updated.replica = ReplicaId("of-the-next-rollout");
    EXPECT_EQ(book({ready(0), updated}), 1);
    EXPECT_EQ(book({updated}), 0);
    clock_.wall_us += kMinuteUs;
    EXPECT_EQ(book({updated}), 1);
    EXPECT_EQ(balance(), -multiply(kPrice, 2));
    expect_books_agree();
}

TEST_F(Minutes, ANameWithoutAPriceCostsNothing) {
    EXPECT_EQ(book({ready(0, "unpriced")}), 1);
    EXPECT_EQ(balance(), NanoUsd());
    EXPECT_EQ(price_of_minute(*store_, "unpriced", now()).value(), NanoUsd());
    EXPECT_EQ(price_of_minute(*store_, "acme/model-1", now()).value(), kPrice);
    expect_books_agree();
}

TEST_F(Minutes, StandOnTheInvoiceOfTheirMonth) {
    for (int i = 0; i < 3; ++i) {
        book({ready(0), ready(1)});
        clock_.wall_us += kMinuteUs;
    }
    const Invoice invoice = make_invoice(*store_, org_, "2026-11", now()).value();
    ASSERT_EQ(invoice.minutes.size(), 1U);
    EXPECT_EQ(invoice.minutes[0].endpoint, "acme/model-1");
    EXPECT_EQ(invoice.minutes[0].num_minutes, 6);
    EXPECT_EQ(invoice.minutes[0].total_nano_usd, multiply(kPrice, 6));
    EXPECT_EQ(invoice.due_cents, 6 * 72);
    EXPECT_NE(write_csv(invoice).find("acme/model-1"), std::string::npos);
    EXPECT_TRUE(make_invoice(*store_, org_, "2026-12", now()).value().minutes.empty());
}

TEST_F(Minutes, AreNeverChanged) {
    book({ready(0)});
    for (const char* const statement :
         {"UPDATE replica_minutes SET cost_nano_usd = 0", "DELETE FROM replica_minutes"}) {
        const Status changed =
            store_->write([&](Database& control) { return control.prepare(statement).run(); });
        EXPECT_FALSE(changed.has_value()) << statement;
    }
    // A charge that no minute explains is seen.
    const Status removed = store_->write([&](Database& control) -> Status {
        RETURN_IF_ERROR(control.prepare("DROP TRIGGER replica_minutes_are_kept").run());
        return control.prepare("DELETE FROM replica_minutes").run();
    });
    ASSERT_TRUE(removed.has_value());
    EXPECT_FALSE(billing_statement(*store_, std::nullopt).value().agrees);
    const auto misfits = reconcile_books(*store_).value().misfits;
    ASSERT_EQ(misfits.size(), 1U);
    EXPECT_EQ(misfits[0].check, "minutes");
}

}  // namespace
}  // namespace turnpike::controlplane
