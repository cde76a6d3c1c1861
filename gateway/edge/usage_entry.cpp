#include "gateway/edge/usage_entry.h"

#include <memory>
#include <utility>

#include "config/base/check.h"
#include "config/base/failpoint.h"

namespace turnpike::gateway {

using controlplane::Outcome;

namespace {

// What the commit thread reports, on the loop's thread, if the request still waits for it.
struct DurableWait {
    Connection& connection;
    bool is_done = false;
    bool is_durable = false;
};

}  // namespace

UsageEntry::~UsageEntry() {
    if (!is_open_) return;
    record_.outcome = Outcome::kGatewayFailed;
    context_.resolver.resolve(std::move(record_), std::move(address_));
}

Status UsageEntry::open(const RequestId& id,
                        const Admission& admission,
                        const controlplane::ReplicaRow& replica) {
    CHECK(!is_open_);
    record_.request_id = id;
    record_.org = admission.key->org;
    record_.key = admission.key->id;
    record_.model = admission.model->name;
    record_.served_model = admission.model->served_model;
    record_.endpoint = admission.endpoint->id;
    record_.replica = replica.id;
    record_.epoch = replica.epoch;
    record_.outcome = Outcome::kGatewayFailed;  // what is true if nothing else gets written
    record_.http_status = 500;
    record_.opened_at = context_.clock.wall_now();
    price_ = controlplane::price_at(*admission.model, record_.opened_at);
    record_.price_version = price_.version;
    record_.closed_at = record_.opened_at;
    address_ = replica.address;
    const OpenedEntry entry{record_, address_};
    const Status status = context_.outbox.append_opened(entry);
    if (!status) {
        context_.log.error("outbox_refused",
                           {{"request_id", id.value()}, {"reason", status.error().message}});
        return Error{
            ErrorCode::kUnavailable, "this gateway cannot record usage now: try again", {}};
    }
    is_open_ = true;
    pass_failpoint(Failpoint::kRequestOpened);
    return {};
}

Task<bool> UsageEntry::close(Settlement settlement, int http_status) {
    CHECK(is_open_);
    is_open_ = false;
    record_.outcome = settlement.outcome;
    record_.usage = settlement.usage;
    record_.http_status = http_status;
    record_.closed_at = context_.clock.wall_now();
    log_.outcome = settlement.outcome;
    log_.usage = settlement.usage;
    limits_.note_end(settlement.usage, settlement.outcome);
    if (settlement.needs_meter) {
        // What is billed later stays held until then; what is written off costs nothing.
        const bool is_billed = controlplane::is_billed(record_.outcome);
        context_.resolver.resolve(record_, address_, is_billed ? credit_.hand_over() : nullptr);
        co_return true;
    }
    const auto position = context_.outbox.append_closed(record_);
    if (!position) {
        context_.log.error("outbox_refused", {{"request_id", record_.request_id.value()},
                                              {"reason", position.error().message}});
        // What the client does not get whole, it does not pay for.
        if (record_.outcome == Outcome::kCompleted) record_.outcome = Outcome::kGatewayFailed;
        log_.outcome = record_.outcome;
        note_bill();
        context_.outbox.close_later(record_);
        co_return false;
    }
    pass_failpoint(Failpoint::kRequestClosed);
    note_bill();
    if (context_.durability != Durability::kPower) co_return true;
    co_return co_await wait_until_durable(*position);
}

void UsageEntry::note_bill() {
    if (controlplane::is_billed(record_.outcome)) credit_.note_usage(record_.usage);
}

Task<bool> UsageEntry::refuse(int http_status) {
    Settlement settlement;
    settlement.outcome = Outcome::kRefused;
    co_return co_await close(settlement, http_status);
}

Task<bool> UsageEntry::wait_until_durable(std::uint64_t position) {
    const auto wait = std::make_shared<DurableWait>(DurableWait{connection_});
    Loop& loop = context_.loop;
    auto report = [&loop, weak = std::weak_ptr<DurableWait>(wait)](bool is_durable) {
        loop.post([weak, is_durable] {
            const auto waiting = weak.lock();
            if (waiting == nullptr) return;  // the session was ended by force
            waiting->is_done = true;
            waiting->is_durable = is_durable;
            waiting->connection.notify(Connection::kDurable);
        });
    };
    context_.outbox.when_durable(position, std::move(report));
    // The commit thread always answers.
    while (!wait->is_done) co_await connection_.wait(Connection::kDurable);
    co_return wait->is_durable;
}

}  // namespace turnpike::gateway
