// UsageDelivery: a thread that posts usage records to the control plane, in order and in batches,
// and repeats each until it is acknowledged.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "config/base/log.h"
#include "config/base/result.h"
#include "config/net/http_client.h"
#include "gateway/edge/outbox_reader.h"

namespace turnpike::gateway {

class UsageDelivery {
  public:
    static Result<std::unique_ptr<UsageDelivery>> start(Outbox& outbox,
                                                        const net::NetAddress& controlplane,
                                                        Log& log);
    // Stops at once; what is not delivered stays in the outbox.
    ~UsageDelivery();

    // Every closed record before this one is acknowledged. Any thread.
    std::int64_t delivered_sequence() const { return delivered_sequence_.load(); }

    // Waits until every closed record is acknowledged, at most `timeout`. Any thread.
    bool drain(std::chrono::milliseconds timeout) const;

  private:
    UsageDelivery(OutboxReader reader,
                  Outbox& outbox,
                  const net::NetAddress& controlplane,
                  Log& log);
    void run();
    Status deliver_batch();
    void sleep(std::chrono::milliseconds duration);

    Outbox& outbox_;
    OutboxReader reader_;
    net::HttpClient client_;
    Log& log_;
    bool was_last_full_ = false;
    std::atomic<std::int64_t> delivered_sequence_;
    std::atomic<bool> is_stopping_{false};
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::thread thread_;
};

}  // namespace turnpike::gateway
