// Limits in the store: whose they are, what a change leaves, and what gateways are told.
#include "controlplane/store/limits.h"

#include "controlplane/store/keys.h"
#include "controlplane/store/models.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class StoredLimits : public StoreFixture {
  protected:
    StoredLimits() : org_(make_org("acme").id), subject_(limits_subject(org_)) {}

    Result<NamedLimits> change(const std::string& subject, const std::string& json) {
        const auto merge = [&](const Limits& limits) { return merge_limits(limits, json); };
        return change_limits(*store_, subject, merge, now());
    }

    ErrorCode refusal(const std::string& subject, const std::string& json = "{}") {
        const auto changed = change(subject, json);
        EXPECT_FALSE(changed.has_value()) << subject;
        return changed ? ErrorCode::kInternal : changed.error().code;
    }

    // The change of `subject` beyond a revision, as a gateway reads it.
    std::optional<Change<LimitsRow>> told_since(std::int64_t revision) {
        const auto snapshot =
            parse_snapshot(store_->snapshot_json(store_->store_id(), revision).value());
        CHECK(snapshot.has_value());
        if (snapshot->limits.empty()) return std::nullopt;
        return snapshot->limits.at(0);
    }

    OrgId org_;
    std::string subject_;
};

TEST_F(StoredLimits, ChangeKeepsWhatItDoesNotName) {
    ASSERT_TRUE(change(subject_, R"({"requests_per_minute":60})").has_value());
    const auto changed = change("organisation:acme", R"({"tokens_per_minute":9000})");
    ASSERT_TRUE(changed.has_value()) << changed.error().message;
    EXPECT_EQ(changed->row.subject, subject_);
    EXPECT_EQ(changed->name, "acme");
    EXPECT_EQ(changed->row.limits.requests_per_minute, 60);
    EXPECT_EQ(changed->row.limits.tokens_per_minute, 9000);
    open();
    EXPECT_EQ(find_limits(*store_, "organisation:acme")->row.limits, changed->row.limits);
}

TEST_F(StoredLimits, FailedChangeLeavesEverything) {
    ASSERT_TRUE(change(subject_, R"({"requests_per_minute":60})").has_value());
    const std::int64_t revision = store_->revision();
    EXPECT_EQ(refusal(subject_, R"({"tokens_per_minute":0})"), ErrorCode::kInvalidArgument);
    EXPECT_EQ(store_->revision(), revision);
    EXPECT_EQ(find_limits(*store_, subject_)->row.limits.requests_per_minute, 60);
}

TEST_F(StoredLimits, GatewaysAreToldOfChangesAndOfTheEnd) {
    std::int64_t revision = store_->revision();
    ASSERT_TRUE(change(subject_, R"({"requests_per_minute":60})").has_value());
    const auto told = told_since(revision);
    ASSERT_TRUE(told && told->row);
    EXPECT_EQ(told->id, subject_);
    EXPECT_EQ(told->row->limits.requests_per_minute, 60);
    revision = store_->revision();
    ASSERT_TRUE(change(subject_, R"({"requests_per_minute":null})").has_value());
    const auto ended = told_since(revision);
    ASSERT_TRUE(ended.has_value());
    EXPECT_EQ(ended->id, subject_);
    EXPECT_FALSE(ended->row.has_value());
    EXPECT_TRUE(list_limits(*store_)->empty());
    revision = store_->revision();
    ASSERT_TRUE(change(subject_, "{}").has_value());
    EXPECT_EQ(store_->revision(), revision);
}

TEST_F(StoredLimits, ListNamesEachSubject) {
    const crypto::Peppers peppers{{{1, Secret(std::string(32, 'p'))}}};
    const KeyId key = create_key(*store_, peppers, org_, "ci", now()).value().key.id;
    make_name(make_endpoint(org_, "pool").id, "name", price_of(1, 1));
    make_org("other");
    for (const std::string& subject : {limits_subject(key), model_limits_subject("name"), subject_})
        ASSERT_TRUE(change(subject, R"({"concurrent_requests":3})").has_value());
    std::vector<std::pair<std::string, std::string>> found;
    const auto rows = list_limits(*store_).value();
    for (const NamedLimits& one : rows) {
        EXPECT_EQ(one.row.limits.concurrent_requests, 3);
        found.emplace_back(one.row.subject, one.name);
    }
    EXPECT_EQ(found, (std::vector<std::pair<std::string, std::string>>{
                         {subject_, "acme"}, {"model:name", "name"}, {limits_subject(key), "ci"}}));
}

TEST_F(StoredLimits, NobodysAreRefused) {
    for (const char* subject : {"organisation:none", "organisation:", "key:none", "model:none"})
        EXPECT_EQ(refusal(subject), ErrorCode::kNotFound);
    for (const char* subject : {"", "none", "acme", "organization:acme"})
        EXPECT_EQ(refusal(subject), ErrorCode::kInvalidArgument);
    EXPECT_EQ(find_limits(*store_, "key:none").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(set_limits(*store_, {"none", {}}, now()).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(StoredLimits, ModelNameHasNoMonthlyAmountAndIsOutlivedByItsLimits) {
    const Endpoint pool = make_endpoint(org_, "pool");
    make_name(pool.id, "name", price_of(1, 1));
    EXPECT_EQ(refusal("model:name", R"({"monthly_nano_usd":1})"), ErrorCode::kInvalidArgument);
    ASSERT_TRUE(change("model:name", R"({"requests_per_minute":1})").has_value());
    ASSERT_TRUE(delete_endpoint(*store_, pool.id, "test", now()).has_value());
    EXPECT_EQ(find_limits(*store_, "model:name")->row.limits.requests_per_minute, 1);
    ASSERT_TRUE(change("model:name", R"({"requests_per_minute":null})").has_value());
    EXPECT_EQ(refusal("model:name"), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace turnpike::controlplane
