// Gateway: the whole process but for main: builds the object graph, starts the threads, drains.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "config/base/build_info.h"
#include "config/base/clock.h"
#include "config/base/heartbeat.h"
#include "config/base/log.h"
#include "config/base/result.h"
#include "config/crypto/pepper.h"
#include "config/net/address.h"
#include "config/net/handover.h"
#include "config/net/http_server.h"
#include "config/net/tls_context.h"
#include "gateway/edge/directory_feed.h"
#include "gateway/edge/edge_metrics.h"
#include "gateway/edge/lease_client.h"
#include "gateway/edge/lease_desk.h"
#include "gateway/edge/load_reporter.h"
#include "gateway/edge/meter_resolver.h"
#include "gateway/edge/outbox.h"
#include "gateway/edge/outbox_heir.h"
#include "gateway/edge/settings.h"
#include "gateway/edge/usage_delivery.h"
#include "gateway/edge/worker.h"

namespace turnpike::gateway {

struct GatewayOptions {
    Settings settings;
    BuildInfo build;
    EdgeTimes times;
    MeterResolverOptions resolver;
    LeaseBookOptions leases;
    FileOps outbox_ops = FileOps::system();
    // Another gateway has taken over: drain() is due. From another thread. May be null.
    std::function<void()> on_handed_over;
    Heartbeat* heartbeat = nullptr;  // gets a loop of each thread
};

class Gateway {
  public:
    // Serves when it returns. When a gateway answers at the settings' handover socket, this one has
    // taken over from it. `clock`, `log` and what the options refer to
    // must outlive it.
    static Result<std::unique_ptr<Gateway>> start(GatewayOptions options,
                                                  const Clock& clock,
                                                  Log& log);
    // Cuts off what still runs; the outbox has it.
    ~Gateway();

    // The bound addresses, in the order of the settings.
    const std::vector<net::NetAddress>& addresses() const { return addresses_; }

    // Stops to accept, unless that was handed over, lets requests finish for at most the drain
    // time, delivers usage. True when nothing was cut off.
    bool drain();

    const LeaseDesk& leases() const { return *leases_; }

    // Of the listener for metrics, when the settings ask for one.
    std::optional<net::NetAddress> metrics_address() const;

    EdgeState state();

  private:
    Gateway(GatewayOptions options, const Clock& clock, Log& log);
    Status find_predecessor();
    Status open();
    Status open_outbox();
    // Knows what to serve, and has a share of the limits.
    bool is_warm() const;
    Status take_over();
    Status start_workers();
    Status take_rest();
    Status start_handover();
    Result<net::NamedFds> share_listeners() const;
    void hand_over();
    std::string address_of(const controlplane::UsageRecord& record) const;
    Status start_metrics();

    const GatewayOptions options_;
    const Clock& clock_;
    Log& log_;
    net::SslContext tls_;
    net::SslContext upstream_tls_;  // null without that setting
    crypto::Peppers peppers_;
    DirectoryHolder directory_;
    AccountTable accounts_;
    std::unique_ptr<LeaseDesk> leases_;  // holds end before it does
    EdgeMetrics metrics_;
    LoadBoard load_;
    std::optional<net::Predecessor> predecessor_;  // until this one serves
    UniqueFd serving_lock_;
    std::vector<net::NetAddress> addresses_;
    std::vector<std::unique_ptr<Worker>> workers_;
    // Below, in the order of construction: each uses those above it, and all end before the
    // workers' event loops do.
    std::unique_ptr<Outbox> outbox_;
    std::unique_ptr<MeterResolver> resolver_;
    std::unique_ptr<UsageDelivery> delivery_;
    std::unique_ptr<DirectoryFeed> feed_;
    std::unique_ptr<LeaseClient> lease_client_;
    std::unique_ptr<LoadReporter> load_reporter_;
    std::unique_ptr<OutboxHeir> heir_;
    std::unique_ptr<net::HttpServer> metrics_server_;
    std::unique_ptr<net::HandoverServer> handover_server_;
};

}  // namespace turnpike::gateway
