#include "gateway/edge/outbox_heir.h"

#include <utility>
#include <vector>

#include "gateway/edge/lease_client.h"
#include "gateway/edge/lease_desk.h"
#include "gateway/edge/outbox_slots.h"
#include "gateway/edge/share_file.h"
#include "gateway/edge/usage_delivery.h"

namespace turnpike::gateway {
namespace {

constexpr auto kLeaveTime = std::chrono::milliseconds(500);

}  // namespace

std::int64_t resolve_orphans(Outbox& outbox, MeterResolver& resolver, Log& log) {
    std::vector<OpenedEntry> orphans = outbox.take_orphans();
    if (!orphans.empty()) log.warning("orphans_found", {{"requests", orphans.size()}});
    for (OpenedEntry& orphan : orphans) {
        orphan.record.outcome = controlplane::Outcome::kGatewayFailed;
        resolver.resolve(std::move(orphan.record), std::move(orphan.address));
    }
    return static_cast<std::int64_t>(orphans.size());
}

// The outbox of a gateway that has ended.
class OutboxHeir::Estate {
  public:
    static Result<std::unique_ptr<Estate>> open(const std::string& slot,
                                                const OutboxHeirOptions& options,
                                                const Clock& clock,
                                                Log& log) {
        OutboxOptions outbox_options;
        outbox_options.dir = slot;
        auto outbox = Outbox::open(std::move(outbox_options), clock, log);
        RETURN_IF_ERROR(outbox);
        const auto share_ppm = load_share(slot);
        RETURN_IF_ERROR(share_ppm);
        std::unique_ptr<Estate> estate(
            new Estate(std::move(*outbox), options, *share_ppm, clock, log));
        auto delivery = UsageDelivery::start(*estate->outbox_, options.controlplane, log);
        RETURN_IF_ERROR(delivery);
        estate->delivery_ = std::move(*delivery);
        estate->has_leases_ = *share_ppm > 0 || !estate->is_delivered();
        return estate;
    }

    // True when nothing is left.
    bool step() {
        if (resolver_.num_pending() > 0 || !is_delivered()) return false;
        if (!has_leases_) return true;
        if (lease_client_ == nullptr) {
            lease_client_ =
                std::make_unique<LeaseClient>(desk_, *outbox_, *delivery_, resolver_, controlplane_,
                                              log_, LeaseClient::Purpose::kLeave);
        }
        if (!lease_client_->leave(kLeaveTime)) return false;
        log_.info("outbox_inherited", {{"outbox", outbox_->id()}});
        return true;
    }

  private:
    Estate(std::unique_ptr<Outbox> outbox,
           const OutboxHeirOptions& options,
           std::int64_t share_ppm,
           const Clock& clock,
           Log& log)
        : controlplane_(options.controlplane),
          log_(log),
          outbox_(std::move(outbox)),
          desk_(clock, desk_options(share_ppm)),
          resolver_(*outbox_, clock, log, options.resolver) {
        const std::int64_t num_orphans = resolve_orphans(*outbox_, resolver_, log);
        if (options.orphans != nullptr) options.orphans->add(num_orphans);
    }

    static LeaseDeskOptions desk_options(std::int64_t share_ppm) {
        LeaseDeskOptions options;
        options.book.share_ppm = share_ppm;
        return options;
    }

    bool is_delivered() const {
        return outbox_->num_open() == 0 &&
               delivery_->delivered_sequence() >= outbox_->next_sequence();
    }

    const net::NetAddress controlplane_;
    Log& log_;
    // In the order of construction: each uses those above it.
    std::unique_ptr<Outbox> outbox_;
    LeaseDesk desk_;
    MeterResolver resolver_;
    std::unique_ptr<UsageDelivery> delivery_;
    std::unique_ptr<LeaseClient> lease_client_;
    bool has_leases_ = false;
};

OutboxHeir::OutboxHeir(OutboxHeirOptions options, const Clock& clock, Log& log)
    : options_(std::move(options)), clock_(clock), log_(log) {
    thread_ = std::thread([this] { run(); });
}

OutboxHeir::~OutboxHeir() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    stop_.notify_all();
    thread_.join();
}

void OutboxHeir::look_again() {
    const std::lock_guard lock(mutex_);
    settled_.clear();
    is_done_ = false;
}

bool OutboxHeir::is_done() const {
    const std::lock_guard lock(mutex_);
    return is_done_;
}

void OutboxHeir::look(const std::string& slot) {
    const auto known = estates_.find(slot);
    if (known != estates_.end()) {
        if (!known->second->step()) return;
        estates_.erase(known);
        const std::lock_guard lock(mutex_);
        settled_.insert(slot);
        return;
    }
    const bool is_free = is_slot_free(slot);
    {
        const std::lock_guard lock(mutex_);
        if (!is_free) settled_.erase(slot);
        if (!is_free || settled_.contains(slot)) return;
    }
    auto estate = Estate::open(slot, options_, clock_, log_);
    if (estate) {
        estates_[slot] = std::move(*estate);
        return;
    }
    if (estate.error().code == ErrorCode::kConflict) return;  // somebody was quicker
    log_.error("outbox_not_inherited", {{"slot", slot}, {"reason", estate.error().message}});
    const std::lock_guard lock(mutex_);
    settled_.insert(slot);
}

void OutboxHeir::run() {
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
        lock.unlock();
        for (const std::string& slot : list_slots(options_.dir)) {
            if (slot != options_.own_slot) look(slot);
        }
        lock.lock();
        is_done_ = estates_.empty();
        const auto pause = estates_.empty() ? options_.period : options_.period / 20;
        stop_.wait_for(lock, pause, [this] { return is_stopping_; });
    }
    lock.unlock();
    estates_.clear();
}

}  // namespace turnpike::gateway
