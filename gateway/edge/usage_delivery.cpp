#include "gateway/edge/usage_delivery.h"

#include <algorithm>
#include <utility>

#include "config/base/failpoint.h"
#include "config/base/limits.h"
#include "gateway/edge/controlplane_wire.h"

namespace turnpike::gateway {
namespace {

// Between batches that are not full: one post and one cursor for many requests.
constexpr auto kPace = std::chrono::milliseconds(50);
constexpr auto kIdlePeriod = std::chrono::milliseconds(500);
constexpr auto kFirstRetry = std::chrono::milliseconds(100);
constexpr auto kLastRetry = std::chrono::milliseconds(5000);

net::HttpClientOptions client_options(const net::NetAddress& address) {
    net::HttpClientOptions options;
    options.address = address;
    return options;
}

}  // namespace

UsageDelivery::UsageDelivery(OutboxReader reader,
                             Outbox& outbox,
                             const net::NetAddress& controlplane,
                             Log& log)
    : outbox_(outbox),
      reader_(std::move(reader)),
      client_(client_options(controlplane)),
      log_(log),
      delivered_sequence_(reader_.next_sequence()) {}

Result<std::unique_ptr<UsageDelivery>> UsageDelivery::start(Outbox& outbox,
                                                            const net::NetAddress& controlplane,
                                                            Log& log) {
    auto reader = OutboxReader::open(outbox);
    RETURN_IF_ERROR(reader);
    std::unique_ptr<UsageDelivery> delivery(
        new UsageDelivery(std::move(*reader), outbox, controlplane, log));
    delivery->thread_ = std::thread([raw = delivery.get()] { raw->run(); });
    return delivery;
}

UsageDelivery::~UsageDelivery() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    changed_.notify_all();
    outbox_.stop_waiting();
    client_.cancel();
    if (thread_.joinable()) thread_.join();
}

bool UsageDelivery::drain(std::chrono::milliseconds timeout) const {
    const std::int64_t wanted = outbox_.next_sequence();
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return delivered_sequence_.load() >= wanted; });
}

void UsageDelivery::sleep(std::chrono::milliseconds duration) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, duration, [this] { return is_stopping_.load(); });
}

void UsageDelivery::run() {
    auto delay = kFirstRetry;
    bool was_failing = false;
    while (!is_stopping_) {
        if (!outbox_.wait_for_closed(reader_.next_sequence(), kIdlePeriod)) continue;
        const Status status = deliver_batch();
        if (is_stopping_) break;
        if (status) {
            if (std::exchange(was_failing, false)) log_.info("usage_delivery_resumed");
            delay = kFirstRetry;
            if (!was_last_full_) sleep(kPace);
            continue;
        }
        if (!std::exchange(was_failing, true)) {
            log_.warning("usage_delivery_failed", {{"reason", status.error().message}});
        }
        sleep(delay);
        delay = std::min(delay * 2, kLastRetry);
    }
}

Status UsageDelivery::deliver_batch() {
    const auto batch = reader_.read_batch(limits::kMaxUsageBatch);
    RETURN_IF_ERROR(batch);
    was_last_full_ = batch->records.size() == limits::kMaxUsageBatch;
    if (!batch->records.empty()) {
        net::HttpRequest request;
        request.method = "POST";
        request.target = "/internal/v1/usage";
        request.headers.add("content-type", "application/json");
        request.body = controlplane::write_usage_batch(*batch);
        const auto response = call_controlplane(client_, request);
        RETURN_IF_ERROR(response);
        if (response->status < 200 || response->status >= 300) {
            return Error{ErrorCode::kIo,
                         "the control plane answered " + std::to_string(response->status) +
                             " to a batch of " + std::to_string(batch->records.size()) +
                             " usage records",
                         {}};
        }
        pass_failpoint(Failpoint::kUsageAcknowledged);
        RETURN_IF_ERROR(reader_.acknowledge());
    }
    {
        const std::lock_guard lock(mutex_);
        delivered_sequence_ = reader_.next_sequence();
    }
    changed_.notify_all();
    return {};
}

}  // namespace turnpike::gateway
