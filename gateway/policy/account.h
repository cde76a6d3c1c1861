// Account: what one organisation uses of its limits on this gateway: its own, those of its keys and
// those on the model names that it asks for. One lock per organisation, held for some additions;
// thread-safe. The time is an argument.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/base/ids.h"
#include "gateway/policy/limit_meter.h"

namespace turnpike::gateway {

// What a request asks of its limits. Limits as the operator set them, or the defaults.
struct LimitRequest {
    std::string key;  // id
    std::string model;
    controlplane::Limits organisation_limits;
    controlplane::Limits key_limits;
    controlplane::Limits model_limits;
    LimitsShare share;
    std::int64_t num_tokens = 0;  // the estimate
};

// A request that was let in. It keeps the limits that it was let in under, so that a change of them
// in the meantime cannot unbalance the meters.
struct LimitTicket {
    std::vector<LimitScope> scopes;
    LimitCharge charge;
};

struct LimitDecision {
    // Exactly one of the two.
    std::optional<LimitRefusal> refusal;
    std::optional<LimitTicket> ticket;
    LimitViews views;  // after the decision
};

class Account {
  public:
    // All limits are checked, then all are charged; a refusal changes nothing.
    LimitDecision admit(const LimitRequest& request, Nanos now);
    // What a request could use now; nothing is charged.
    LimitViews view(const LimitRequest& request, Nanos now);
    // A meter line: the tokens so far, and the slot is renewed.
    void correct(LimitTicket& ticket, std::int64_t num_tokens, Nanos now);
    // Once. `is_refused`: the engine refused it, so it counts as no request.
    void settle(LimitTicket& ticket, std::int64_t num_tokens, bool is_refused, Nanos now);

    std::int64_t num_in_flight(Nanos now);
    // Of everybody: the organisation, its keys and its names.
    std::int64_t num_slots(Nanos now);

  private:
    std::vector<LimitScope> scopes_of(const LimitRequest& request, Nanos now);

    // Meters stay where they are: tickets point at them. A key or name that is gone costs some
    // hundred bytes until the restart.
    std::mutex mutex_;  // guards the rest
    LimitMeter organisation_;
    std::map<std::string, LimitMeter> keys_;
    std::map<std::string, LimitMeter> models_;
    SlotLeases in_flight_;
    std::uint64_t next_slot_id_ = 1;
};

// The accounts of all threads. Thread-safe; what was found lives as long as the table.
class AccountTable {
  public:
    Account& find(const OrgId& org);
    // Slots that are taken, of all organisations, keys and names.
    std::int64_t num_slots(Nanos now);

  private:
    std::mutex mutex_;
    std::unordered_map<std::string, std::unique_ptr<Account>> accounts_;
};

// One thread's view of the table: takes its lock once per organisation.
class AccountReader {
  public:
    explicit AccountReader(AccountTable& table) : table_(table) {}

    Account& find(const OrgId& org);

  private:
    AccountTable& table_;
    std::unordered_map<std::string, Account*> known_;
};

}  // namespace turnpike::gateway
