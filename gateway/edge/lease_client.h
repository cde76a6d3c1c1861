// LeaseClient: a thread that asks the control plane for credit and shares of limits whenever the
// desk wants some. POST /internal/v1/leases; see ops/docs/formats/leases.md.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "config/base/log.h"
#include "config/net/http_client.h"
#include "gateway/edge/lease_desk.h"
#include "gateway/edge/meter_resolver.h"
#include "gateway/edge/usage_delivery.h"

namespace turnpike::gateway {

class LeaseClient {
  public:
    enum class Purpose {
        kServe,
        kLeave,  // asks for nothing: only leave() is called
    };

    // Everything must outlive it. The resolver has got what earlier runs left open.
    LeaseClient(LeaseDesk& desk,
                Outbox& outbox,
                const UsageDelivery& delivery,
                const MeterResolver& resolver,
                const net::NetAddress& controlplane,
                Log& log,
                Purpose purpose = Purpose::kServe);
    ~LeaseClient();
    LeaseClient(const LeaseClient&) = delete;
    LeaseClient& operator=(const LeaseClient&) = delete;

    // Gives back what this run was granted and did not spend; nothing is asked for afterwards. Once
    // requests have ended and their usage is delivered. Waits for the answer, at most `timeout`.
    bool leave(std::chrono::milliseconds timeout);

  private:
    void run();
    // Again and again until it is answered or stopped.
    void post_leaving();
    void move_checkpoint();
    // Everything that earlier runs wrote or left open is acknowledged.
    bool has_delivered_earlier_runs();
    enum class Posted {
        kAnswered,
        kNotSent,  // no connection
        kLost,     // sent, and the control plane may have done it
    };
    Posted post(const controlplane::LeaseRequest& request);
    bool take(const controlplane::LeaseAnswer& answer, Nanos sent_at);
    void sleep(std::chrono::milliseconds duration);

    LeaseDesk& desk_;
    Outbox& outbox_;
    const UsageDelivery& delivery_;
    const MeterResolver& resolver_;
    net::HttpClient client_;
    Log& log_;
    std::optional<std::int64_t> checkpoint_;   // the outbox's end at the desk's checkpoint
    std::optional<std::int64_t> earlier_end_;  // behind what earlier runs left
    bool was_failing_ = false;
    std::atomic<bool> is_stopping_{false};
    std::atomic<bool> is_leaving_{false};
    std::mutex mutex_;
    std::condition_variable stop_;
    bool has_tried_to_leave_ = false;  // these two guarded by mutex_
    bool has_left_ = false;
    std::thread thread_;
};

}  // namespace turnpike::gateway
