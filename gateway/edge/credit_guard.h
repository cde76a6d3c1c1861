// CreditGuard: one request's money: held before it is dispatched, topped up while it streams,
// settled with what its records cost on every way out. One thread.
#pragma once

#include <memory>
#include <optional>

#include "config/base/error.h"
#include "gateway/edge/admission.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/lease_desk.h"
#include "gateway/edge/task.h"
#include "gateway/edge/thread_context.h"

namespace turnpike::gateway {

class CreditGuard {
  public:
    // `num_body_bytes` give the estimate of the prompt's tokens.
    CreditGuard(ThreadContext& context,
                Connection& connection,
                const Admission& admission,
                std::size_t num_body_bytes);

    // Holds, waiting for the control plane's answer when that is needed. An error means: do not
    // dispatch. kPaymentRequired: the credit is gone.
    Task<std::optional<Error>> begin();

    // A meter line. False: the credit is gone, and what was produced is paid for: stop.
    bool note_meter(const TokenUsage& usage);
    // A closed record of this request that is billed.
    void note_usage(const TokenUsage& usage);

    // For a record whose counts are still to come: what is held is kept until then.
    std::shared_ptr<CreditHold> hand_over() { return std::move(hold_); }

    TokenCount num_choices() const { return terms_.num_choices; }

  private:
    LeaseDesk::Answer try_begin();

    ThreadContext& context_;
    Connection& connection_;
    std::string organisation_;
    std::string key_;
    HoldTerms terms_;
    TokenCount prompt_tokens_;
    std::shared_ptr<CreditHold> hold_;
};

}  // namespace turnpike::gateway
