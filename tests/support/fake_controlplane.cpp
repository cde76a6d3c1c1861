#include "tests/support/fake_controlplane.h"

#include <algorithm>
#include <utility>

#include "config/base/check.h"
#include "controlplane/api/caller.h"
#include "controlplane/api/lease.h"

namespace turnpike::test {

using controlplane::Snapshot;
using controlplane::UsageRecord;

namespace {

constexpr char kStore[] = "01JSTORE000000000000000000";

Snapshot empty_delta(std::int64_t revision) {
    Snapshot delta;
    delta.store_id = kStore;
    delta.revision = revision;
    return delta;
}

}  // namespace

FakeControlplane::FakeControlplane(std::string socket_path)
    : socket_path_(std::move(socket_path)), log_(clock_, "fake", LogLevel::kError) {
    state_ = empty_delta(1);
    state_.is_full = true;
    start();
}

FakeControlplane::~FakeControlplane() {
    stop();
}

void FakeControlplane::start() {
    net::HttpServerOptions options;
    options.address.unix_path = socket_path_;
    options.drain_timeout = std::chrono::milliseconds(200);
    auto server = net::HttpServer::start(
        options,
        [this](const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply) {
            handle(request, reply);
        },
        log_);
    CHECK(server.has_value());
    server_ = std::move(*server);
}

void FakeControlplane::stop() {
    answer_waiting();
    if (server_ != nullptr) server_->stop();
    server_.reset();
    answer_waiting();
}

void FakeControlplane::answer_waiting() {
    std::vector<std::shared_ptr<net::HttpReply>> waiting;
    std::string body;
    {
        const std::lock_guard lock(mutex_);
        waiting.swap(waiting_);
        body = write_snapshot(state_);
    }
    for (const auto& reply : waiting) reply->respond({200, {}, body});
}

void FakeControlplane::publish(Snapshot state) {
    {
        const std::lock_guard lock(mutex_);
        state.store_id = kStore;
        state.is_full = true;
        state.revision = state_.revision + 1;
        state_ = std::move(state);
    }
    answer_waiting();
}

void FakeControlplane::set_usage_status(int status) {
    const std::lock_guard lock(mutex_);
    usage_status_ = status;
}

void FakeControlplane::handle(const net::HttpRequest& request,
                              std::shared_ptr<net::HttpReply> reply) {
    if (request.path() == "/internal/v1/usage") return take_usage(request, *reply);
    if (request.path() == "/internal/v1/leases") return grant_leases(request, *reply);
    if (request.path() == "/internal/v1/load") {
        {
            const std::lock_guard lock(mutex_);
            load_ = request.body;
        }
        changed_.notify_all();
        return reply->respond({200, {}, "{}"});
    }
    if (!request.path().starts_with("/internal/")) return answer_query(request, *reply);
    std::string body;
    {
        const std::lock_guard lock(mutex_);
        const bool is_current = request.query("store") == kStore &&
                                request.query("after") == std::to_string(state_.revision);
        if (is_current) {
            waiting_.push_back(std::move(reply));
            changed_.notify_all();
            return;
        }
        body = write_snapshot(state_);
    }
    reply->respond({200, {}, body});
}

// Says back what was asked, and by whom.
void FakeControlplane::answer_query(const net::HttpRequest& request, net::HttpReply& reply) {
    const std::string org(request.headers.get(controlplane::kCallerOrgHeader));
    const std::string key(request.headers.get(controlplane::kCallerKeyHeader));
    const bool is_unknown = request.query("id") == "none";
    reply.respond({is_unknown ? 404 : 200, {}, org + " " + key + " " + request.target});
}

void FakeControlplane::take_usage(const net::HttpRequest& request, net::HttpReply& reply) {
    const auto batch = controlplane::parse_usage_batch(request.body);
    int status = 0;
    {
        const std::lock_guard lock(mutex_);
        status = batch ? usage_status_ : 400;
        if (status == 200) {
            num_deliveries_ += batch->records.size();
            for (const UsageRecord& record : batch->records) {
                const auto known =
                    std::find_if(records_.begin(), records_.end(), [&](const UsageRecord& other) {
                        return other.request_id == record.request_id;
                    });
                if (known == records_.end()) {
                    records_.push_back(record);
                } else if (write_usage_record(*known) != write_usage_record(record)) {
                    ++num_conflicts_;
                }
            }
        }
    }
    changed_.notify_all();
    reply.respond({status, {}, "{}"});
}

bool FakeControlplane::wait_until_known() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [this] { return !waiting_.empty(); });
}

bool FakeControlplane::wait_for_load(const std::string& text) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return load_.find(text) != std::string::npos; });
}

void FakeControlplane::set_credit(NanoUsd credit) {
    const std::lock_guard lock(mutex_);
    credit_ = credit;
}

void FakeControlplane::grant_leases(const net::HttpRequest& request, net::HttpReply& reply) {
    const auto asked = controlplane::parse_lease_request(request.body);
    if (!asked) return reply.respond({400, {}, "{}"});
    controlplane::LeaseAnswer answer;
    answer.epoch = Epoch(1);
    answer.lifetime_ms = 600'000;
    answer.share_ppm = asked->is_leaving ? 0 : 1'000'000;
    {
        const std::lock_guard lock(mutex_);
        for (const controlplane::LeaseAsk& ask : asked->asks)
            answer.grants.push_back(
                {ask.subject, std::min(ask.wanted, credit_), ask.wanted > credit_});
    }
    reply.respond({200, {}, write_lease_answer(answer)});
}

std::vector<UsageRecord> FakeControlplane::wait_for_records(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return records_.size() >= count; });
    return records_;
}

std::size_t FakeControlplane::num_deliveries() const {
    const std::lock_guard lock(mutex_);
    return num_deliveries_;
}

std::size_t FakeControlplane::num_conflicts() const {
    const std::lock_guard lock(mutex_);
    return num_conflicts_;
}

}  // namespace turnpike::test
