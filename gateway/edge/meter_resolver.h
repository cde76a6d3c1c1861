// MeterResolver: a thread that closes requests whose counts the gateway did not see to the end
// (it crashed, or the replica did) with what the engine's own meter says. See
// ops/docs/formats/usage.md.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/net/http_client.h"
#include "controlplane/api/usage_record.h"
#include "gateway/edge/lease_desk.h"
#include "gateway/edge/outbox.h"

namespace turnpike::gateway {

struct MeterResolverOptions {
    // An engine that does not know a request must say so twice, this far apart: a request may still
    // lie in its socket when the first question comes.
    std::chrono::milliseconds confirm_delay = std::chrono::seconds(1);
    std::chrono::milliseconds first_retry = std::chrono::milliseconds(100);
    std::chrono::milliseconds last_retry = std::chrono::seconds(30);
    std::optional<net::TlsFiles> tls;  // for engines with tls: addresses
    // Where the record's replica listens now; empty when that is not known. A replica that was
    // started again may have got another port. May be null.
    std::function<std::string(const controlplane::UsageRecord&)> address_of;
};

class MeterResolver {
  public:
    MeterResolver(Outbox& outbox, const Clock& clock, Log& log, MeterResolverOptions options);
    // What is not resolved stays open in the outbox, and is an orphan of the next run.
    ~MeterResolver();

    // Asks at `address`, or where the replica listens since, for the counts of `record`, whose
    // outcome is set, and closes it once the engine has answered finally; `hold` is let go then.
    // Thread-safe.
    void resolve(controlplane::UsageRecord record,
                 std::string address,
                 std::shared_ptr<CreditHold> hold = nullptr);

    std::size_t num_pending() const;
    // Waits until nothing is pending, at most `timeout`.
    bool drain(std::chrono::milliseconds timeout) const;

  private:
    struct Item {
        controlplane::UsageRecord record;
        std::string address;
        std::shared_ptr<CreditHold> hold;
        SteadyTime due;
        std::chrono::milliseconds delay;
        bool was_unknown = false;
    };

    void run();
    // Asks about one item; true when it is closed.
    bool ask(Item& item);
    void close(const Item& item);
    void put_back(Item item);
    bool take_due(Item& item, std::unique_lock<std::mutex>& lock);

    Outbox& outbox_;
    const Clock& clock_;
    Log& log_;
    const MeterResolverOptions options_;

    mutable std::mutex mutex_;  // guards the rest
    mutable std::condition_variable changed_;
    std::vector<Item> items_;
    std::shared_ptr<net::HttpClient> client_;  // of the question being asked
    std::string client_address_;
    std::size_t num_asking_ = 0;
    bool is_stopping_ = false;
    std::thread thread_;
};

}  // namespace turnpike::gateway
