// Price versions: dated, immutable, fixed at admission, and an operator's survive restarts.
#include "controlplane/store/prices.h"

#include "controlplane/store/migrate.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class Prices : public StoreFixture {
  protected:
    Prices()
        : org_(make_org("acme").id),
          endpoint_(make_endpoint(org_, "acme/pool").id),
          first_(make_name(endpoint_, "name", price_of(3000, 7000))) {}

    std::vector<PriceRow> all() const { return list_prices(*store_, std::nullopt).value(); }

    // What a gateway is told.
    ModelRow published() const {
        const auto snapshot = parse_snapshot(store_->snapshot_json("", 0).value()).value();
        return *snapshot.models.at(0).row;
    }

    WallTime in_hours(int hours) const { return now() + std::chrono::hours(hours); }

    OrgId org_;
    EndpointId endpoint_;
    ModelRow first_;
};

TEST_F(Prices, OneOfTheFutureIsPublishedAtOnceAndHoldsFromItsMoment) {
    const PriceRow set =
        set_price(*store_, "name", price_of(6000, 14000), in_hours(1), now()).value();
    const ModelRow model = published();
    EXPECT_EQ(model.price.version, first_.price.version);
    ASSERT_EQ(model.upcoming.size(), 1U);
    const auto just_before = in_hours(1) - std::chrono::microseconds(1);
    EXPECT_EQ(price_at(model, just_before).version, first_.price.version);
    EXPECT_EQ(price_at(model, in_hours(1)).version, set.price.version);
    EXPECT_EQ(price_at(model, in_hours(1)).output_nano_usd, NanoUsd(14000));
    clock_.wall_us += std::int64_t{7'200} * 1'000'000;
    EXPECT_EQ(list_models(*store_, now()).value()[0].price.version, set.price.version);
}

TEST_F(Prices, TheLastOfTheSameMomentHolds) {
    ASSERT_TRUE(set_price(*store_, "name", price_of(1, 1), in_hours(2), now()).has_value());
    ASSERT_TRUE(set_price(*store_, "name", price_of(2, 2), in_hours(2), now()).has_value());
    ASSERT_TRUE(set_price(*store_, "name", price_of(3, 3), in_hours(1), now()).has_value());
    EXPECT_EQ(price_at(published(), in_hours(1)).input_nano_usd, NanoUsd(3));
    EXPECT_EQ(price_at(published(), in_hours(2)).input_nano_usd, NanoUsd(2));
}

TEST_F(Prices, TheSettingsPriceComesBackOnlyWhenTheCardChanged) {
    ASSERT_TRUE(set_price(*store_, "name", price_of(1, 2), now(), now()).has_value());
    EXPECT_EQ(make_name(endpoint_, "name", price_of(3000, 7000)).price.input_nano_usd, NanoUsd(1));
    EXPECT_EQ(all().size(), 2U);
    clock_.wall_us += 1;
    EXPECT_EQ(make_name(endpoint_, "name", price_of(5, 6)).price.input_nano_usd, NanoUsd(5));
    EXPECT_EQ(all().size(), 3U);
    EXPECT_EQ(all()[1].source, PriceSource::kOperator);
}

TEST_F(Prices, ThePastAndUnknownNamesAreRefused) {
    const auto before = now() - std::chrono::microseconds(1);
    EXPECT_EQ(set_price(*store_, "name", price_of(1, 1), before, now()).error().param, "from");
    EXPECT_EQ(set_price(*store_, "other", price_of(1, 1), now(), now()).error().code,
              ErrorCode::kNotFound);
    EXPECT_FALSE(set_price(*store_, "name", price_of(-1, 1), now(), now()).has_value());
    EXPECT_EQ(all().size(), 1U);
}

TEST_F(Prices, CachedTokensCostTheirOwnPrice) {
    Price price = price_of(3000, 7000);
    price.cached_input_nano_usd = NanoUsd(300);
    const PriceRow set = set_price(*store_, "name", price, now(), now()).value();
    UsageRecord record = make_record(org_, set.price.version, 1000, 10);
    record.usage.cached_tokens = 600;
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {record}}).has_value());
    const NanoUsd expected(400 * 3000 + 600 * 300 + 10 * 7000);
    EXPECT_EQ(list_usage(*store_, org_, 1).value().rows[0].cost_nano_usd, expected);
}

TEST_F(Prices, OfAnOlderDatabaseHoldFromTheirCreation) {
    store_.reset();
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    auto file = Database::open(dir_ + "/control.db", Database::Access::kWrite).value();
    ASSERT_TRUE(migrate(*file, migrations::control().first(8), kControlApplicationId, now()));
    ASSERT_TRUE(file->execute("INSERT INTO prices (name, input_nano_usd, cached_input_nano_usd, "
                              "output_nano_usd, per_minute_nano_usd, created_at_us) VALUES ('a', "
                              "1, 1, 1, 0, 10), ('a', 2, 2, 2, 0, 20)")
                    .has_value());
    file.reset();
    open();
    ASSERT_EQ(all().size(), 2U);
    EXPECT_EQ(all()[1].from, from_unix_us(20));
    EXPECT_EQ(all()[1].source, PriceSource::kSettings);
    EXPECT_EQ(find_price(*store_, 1).value().input_nano_usd, NanoUsd(1));
}

}  // namespace
}  // namespace turnpike::controlplane
