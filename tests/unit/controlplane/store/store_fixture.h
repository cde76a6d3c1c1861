// A store in a directory of its own, with an organisation, an endpoint and a priced name.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "config/crypto/identifiers.h"
#include "controlplane/store/credit.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/ledger.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage.h"

namespace turnpike::controlplane {

// 2026-11-23T12:00:00Z, and as the test moves it.
class ManualClock final : public Clock {
  public:
    WallTime wall_now() const override { return from_unix_us(wall_us); }

    SteadyTime steady_now() const override { return SteadyTime(steady.load()); }

    // Threads of the code under test read it.
    std::atomic<SteadyTime::duration> steady{};
    std::atomic<std::int64_t> wall_us = 1'795'435'200'000'000;
};

// Of a backup that nothing cuts off.
inline const auto kWhole = [] { return true; };

class StoreFixture : public testing::Test {
  protected:
    StoreFixture() : log_(clock_, "test", LogLevel::kError) {
        std::string pattern = testing::TempDir() + "store.XXXXXX";
        CHECK(::mkdtemp(pattern.data()) != nullptr);
        dir_ = pattern;
        open();
    }

    ~StoreFixture() override {
        store_.reset();
        std::filesystem::remove_all(dir_);
    }

    void open() {
        store_.reset();
        auto store = Store::open(dir_, clock_, log_);
        ASSERT_TRUE(store.has_value()) << store.error().message;
        store_ = std::move(*store);
    }

    WallTime now() const { return clock_.wall_now(); }

    Organisation make_org(const std::string& name) {
        return create_organisation(*store_, name, now()).value();
    }

    Endpoint make_endpoint(const OrgId& owner, const std::string& name) {
        NewEndpoint request;
        request.actor = "test";
        request.wanted.name = name;
        request.wanted.model = "turnpike/tiny-random";
        request.wanted.hardware = "1x_cpu";
        request.wanted.owner = owner;
        return create_endpoint(*store_, request, now()).value();
    }

    static Price price_of(std::int64_t input, std::int64_t output) {
        return {0, NanoUsd(input), NanoUsd(input), NanoUsd(output), NanoUsd()};
    }

    ModelRow make_name(const EndpointId& endpoint, const std::string& name, const Price& price) {
        ModelName model;
        model.name = name;
        model.endpoint = endpoint;
        model.served_model = "turnpike/tiny-random";
        model.context_length = 8192;
        return put_model_name(*store_, model, price, now()).value();
    }

    UsageRecord make_record(const OrgId& org,
                            std::int64_t price_version,
                            TokenCount prompt,
                            TokenCount completion) {
        UsageRecord record;
        record.request_id = crypto::new_request_id(now());
        record.org = org;
        record.key = KeyId("key_1");
        record.model = "name";
        record.served_model = "turnpike/tiny-random";
        record.price_version = price_version;
        record.usage = {prompt, 0, completion, 0};
        record.opened_at = now();
        record.closed_at = now();
        return record;
    }

    ManualClock clock_;
    Log log_;
    std::string dir_;
    std::unique_ptr<Store> store_;
};

}  // namespace turnpike::controlplane
