// What `turnpike limits` sends, refuses and shows.
#include "controlplane/cli/limit_verbs.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

std::string refusal(const ChangedLimits& changed) {
    const auto changes = changes_of(changed);
    EXPECT_FALSE(changes.has_value());
    return changes ? "" : changes.error().message;
}

ChangedLimits with_rpm(const std::string& text) {
    ChangedLimits changed;
    changed.rpm = text;
    return changed;
}

ChangedLimits clearing(std::vector<std::string> names) {
    ChangedLimits changed;
    changed.cleared = std::move(names);
    return changed;
}

TEST(LimitVerbs, SendWhatIsNamedAndNothingElse) {
    EXPECT_EQ(changes_of(with_rpm("60")).value(), json({{"requests_per_minute", 60}}));
    ChangedLimits changed = clearing({"rpm"});
    changed.tpm = "250000";
    changed.concurrent = "32";
    changed.monthly = "12.5";
    EXPECT_EQ(changes_of(changed).value(), json({{"requests_per_minute", nullptr},
                                                 {"tokens_per_minute", 250'000},
                                                 {"concurrent_requests", 32},
                                                 {"monthly_nano_usd", 12'500'000'000}}));
}

TEST(LimitVerbs, ClearByFlagOrField) {
    const json all{{"requests_per_minute", nullptr},
                   {"tokens_per_minute", nullptr},
                   {"concurrent_requests", nullptr},
                   {"monthly_nano_usd", nullptr}};
    EXPECT_EQ(changes_of(clearing({"rpm", "tpm", "concurrent", "monthly"})).value(), all);
    EXPECT_EQ(changes_of(clearing({"requests_per_minute", "tokens_per_minute",
                                   "concurrent_requests", "monthly_nano_usd", "monthly_usd"}))
                  .value(),
              all);
}

TEST(LimitVerbs, RefuseNumbersThatAreNone) {
    for (const std::string text : {"", "0", "-1", "1.5", "many", "1000000000001", "60 "}) {
        EXPECT_EQ(refusal(with_rpm(text)),
                  "--rpm: expected a whole number from 1 to 1000000000000, found '" + text +
                      "'; --clear rpm removes the limit");
    }
    ChangedLimits changed;
    changed.monthly = "ten";
    EXPECT_EQ(refusal(changed),
              "--monthly: expected an amount in USD such as 20 or 0.000003 with at most nine "
              "decimals, found 'ten'");
    changed.monthly = "-1";
    EXPECT_EQ(refusal(changed), "--monthly: expected an amount of at least 0 USD, found '-1'");
}

TEST(LimitVerbs, RefuseWhatCannotBeMeant) {
    EXPECT_EQ(refusal({}),
              "expected a limit to set (--rpm, --tpm, --concurrent, --monthly) or to --clear, "
              "found none");
    EXPECT_EQ(refusal(clearing({"speed"})),
              "--clear: expected rpm, tpm, concurrent or monthly, found 'speed'");
    ChangedLimits both = with_rpm("60");
    both.cleared = {"rpm"};
    EXPECT_EQ(refusal(both), "expected --rpm or --clear rpm, found both");
}

TEST(LimitsTable, HasADashWhereThereIsNoLimit) {
    const json rows = json::parse(R"([{"subject":"organisation:org_1","name":"acme",
        "requests_per_minute":60,"tokens_per_minute":null,"concurrent_requests":null,
        "monthly_nano_usd":1500000000,"monthly_usd":"1.50"}])");
    EXPECT_EQ(limits_table(rows),
              "SUBJECT             NAME  REQUESTS/MIN  TOKENS/MIN  CONCURRENT  USD/MONTH\n"
              "organisation:org_1  acme            60           -           -       1.50\n");
    EXPECT_EQ(limits_table(json::array()), "(none)\n");
}

}  // namespace
}  // namespace turnpike::controlplane::cli
