// LeaseBook: the gateway's side of leases: what was granted per subject, what to ask for next, what
// to give back, and the share of the rate limits. Follows ops/docs/formats/leases.md. Money fails
// closed: without a lease that is alive nothing new is held. Shares stay as they were last told.
// Pure; the time is an argument. Not thread-safe.
#pragma once

#include <map>
#include <string>

#include "controlplane/api/lease.h"
#include "gateway/policy/holds.h"
#include "gateway/policy/limit_meter.h"

namespace turnpike::gateway {

struct LeaseBookOptions {
    NanoUsd slice{2'000'000'000};       // free money kept for a subject in use: 60 holds of R1
    Nanos idle_after = 60'000'000'000;  // an unused subject gives its money back then
    std::int64_t share_ppm = 0;         // of the limits, as an earlier run was told last
};

class LeaseBook {
  public:
    explicit LeaseBook(LeaseBookOptions options);

    // The subject's lease, empty at first. The reference stays valid.
    CreditLease& use(const std::string& subject, Nanos now);

    // Whether something in use has less than half of what it should have free, or half of the
    // leases' lifetime is over.
    bool needs_renewal(Nanos now) const;
    // What to post. Subjects in use ask for a slice, or for as much again as they hold; subjects
    // that are idle, with everything settled, give back what is free.
    controlplane::LeaseRequest next_request(const std::string& gateway,
                                            bool has_delivered_earlier_runs,
                                            Nanos now);
    // The last one of this run: gives all that is free back, and the share of the limits. Of epoch
    // 0 only the latter: each such request begins an epoch, so a repeated one would settle twice.
    controlplane::LeaseRequest leave(const std::string& gateway, bool has_delivered_earlier_runs);
    // `sent_at`: when its request left, so that no lease outlives the control plane's view of it.
    void apply(const controlplane::LeaseAnswer& answer, Nanos sent_at, Nanos now);
    // The control plane knows another run under this gateway's name (kConflict): nothing new may be
    // held. Only a restart of the gateway helps.
    void fence();
    // The control plane's first answer is here: see CreditLease::end_allowance().
    void end_allowances();

    bool is_fenced() const { return is_fenced_; }

    // Remembers what is spent now. To be called before the outbox's end is looked at: when all
    // records up to that end are acknowledged, confirm_checkpoint() makes it the settled sums.
    void checkpoint();
    void confirm_checkpoint();

    // The last answer gave less than was asked for: the credit is gone, not just late.
    bool is_short(const std::string& subject) const;

    // Of every rate limit. A gateway that never heard of its control plane has none.
    const LimitsShare& share() const { return share_; }

  private:
    struct Entry {
        CreditLease lease;
        NanoUsd settled;
        NanoUsd checkpointed;
        Nanos used_at = 0;
        bool is_short = false;
    };

    void take_share(std::int64_t ppm, Nanos now);
    bool is_idle(const Entry& entry, Nanos now) const;
    NanoUsd target_of(const Entry& entry) const;

    LeaseBookOptions options_;
    std::map<std::string, Entry> entries_;
    Epoch epoch_{0};
    Nanos renew_at_ = INT64_MIN;
    LimitsShare share_;
    bool is_fenced_ = false;
};

}  // namespace turnpike::gateway
