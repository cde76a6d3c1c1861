// OutboxHeir: a thread that ends what other gateways left in the slots of this gateway's outbox
// directory when they ended before they could: resolves their open requests, delivers their records
// and gives their leases back. A gateway that has handed over and ends by itself leaves nothing.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "config/net/address.h"
#include "gateway/edge/meter_resolver.h"
#include "gateway/edge/outbox.h"

namespace turnpike::gateway {

// Asks the engines for what requests of an earlier run used; how many those are.
std::int64_t resolve_orphans(Outbox& outbox, MeterResolver& resolver, Log& log);

struct OutboxHeirOptions {
    std::string dir;       // of all slots
    std::string own_slot;  // not looked at
    net::NetAddress controlplane;
    MeterResolverOptions resolver;
    std::chrono::milliseconds period = std::chrono::seconds(1);  // between looks
    Counter* orphans = nullptr;  // counts them; outlives the heir. Empty: nobody does
};

class OutboxHeir {
  public:
    // Looks at every slot once, and again at one that was in use in between.
    OutboxHeir(OutboxHeirOptions options, const Clock& clock, Log& log);
    // What is not done stays for the next gateway.
    ~OutboxHeir();
    OutboxHeir(const OutboxHeir&) = delete;
    OutboxHeir& operator=(const OutboxHeir&) = delete;

    // Another gateway may have begun and ended since the last look. Any thread.
    void look_again();

    // Every slot but the own one is in use or known to hold nothing. For tests.
    bool is_done() const;

  private:
    class Estate;

    void run();
    void look(const std::string& slot);

    const OutboxHeirOptions options_;
    const Clock& clock_;
    Log& log_;
    std::map<std::string, std::unique_ptr<Estate>> estates_;  // the thread's own

    mutable std::mutex mutex_;  // guards the rest
    std::condition_variable stop_;
    std::set<std::string> settled_;
    bool is_done_ = false;
    bool is_stopping_ = false;
    std::thread thread_;
};

}  // namespace turnpike::gateway
