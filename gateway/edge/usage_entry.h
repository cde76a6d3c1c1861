// UsageEntry: the books of one dispatched request: opened before its first byte leaves, closed
// exactly once. An entry that is dropped while open was our fault: the engine's meter is asked.
#pragma once

#include <string>

#include "gateway/edge/admission.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/credit_guard.h"
#include "gateway/edge/limit_guard.h"
#include "gateway/edge/request_log.h"
#include "gateway/edge/thread_context.h"
#include "gateway/policy/settlement.h"

namespace turnpike::gateway {

class UsageEntry {
  public:
    UsageEntry(ThreadContext& context,
               Connection& connection,
               LimitGuard& limits,
               CreditGuard& credit,
               RequestLog& log)
        : context_(context), connection_(connection), limits_(limits), credit_(credit), log_(log) {}

    ~UsageEntry();
    UsageEntry(const UsageEntry&) = delete;
    UsageEntry& operator=(const UsageEntry&) = delete;

    // An error means: do not dispatch.
    Status open(const RequestId& id,
                const Admission& admission,
                const controlplane::ReplicaRow& replica);

    // Written when the task is done, and on the disk with Durability::kPower. False when that
    // failed: the client must then not get its last bytes. Counts that are not known here are asked
    // of the engine, later, which is true.
    Task<bool> close(Settlement settlement, int http_status);
    // The engine refused before it produced anything: zero tokens.
    Task<bool> refuse(int http_status);

    bool is_open() const { return is_open_; }

    // Of the version that the record names; after open().
    const Price& price() const { return price_; }

  private:
    void note_bill();
    Task<bool> wait_until_durable(std::uint64_t position);

    ThreadContext& context_;
    Connection& connection_;
    LimitGuard& limits_;
    CreditGuard& credit_;
    RequestLog& log_;
    controlplane::UsageRecord record_;
    std::string address_;
    Price price_;
    bool is_open_ = false;
};

}  // namespace turnpike::gateway
