// LimitGuard: one request's use of its limits, settled on every way out. One thread.
#pragma once

#include <optional>
#include <string>

#include "config/base/error.h"
#include "gateway/edge/admission.h"
#include "gateway/edge/thread_context.h"
#include "gateway/policy/account.h"

namespace turnpike::gateway {

class LimitGuard {
  public:
    // Asks for admission. `num_body_bytes` give the estimate of its tokens.
    LimitGuard(ThreadContext& context, const Admission& admission, std::size_t num_body_bytes);
    // Settles with the last tokens that were noted. A request that was never dispatched counts as
    // none.
    ~LimitGuard();
    LimitGuard(const LimitGuard&) = delete;
    LimitGuard& operator=(const LimitGuard&) = delete;

    // Set when the request was not let in; nothing was charged then.
    const std::optional<Error>& refusal() const { return refusal_; }

    // Header lines for every answer to this request, each with its CRLF.
    const std::string& lines() const { return lines_; }

    // A meter line while the reply runs: the first corrects the estimate, later ones renew the
    // slot now and then.
    void note_meter(const TokenUsage& usage);
    // How a dispatch ended. A completed one is settled at once, ahead of the client's last bytes,
    // so that its next request finds the slot free; one that is tried again is noted again.
    void note_end(const TokenUsage& usage, controlplane::Outcome outcome);

  private:
    Nanos now() const;
    void settle();

    ThreadContext& context_;
    Account& account_;
    std::optional<LimitTicket> ticket_;
    std::optional<Error> refusal_;
    std::string lines_;
    std::int64_t num_tokens_ = 0;
    Nanos renew_at_ = INT64_MIN;
    bool is_refused_ = true;  // until it is dispatched
};

// The same header lines for an answer that is charged for nothing: what the key and its
// organisation have left.
std::string limit_lines_of(ThreadContext& context,
                           const Directory& directory,
                           const controlplane::KeyRow& key);

}  // namespace turnpike::gateway
