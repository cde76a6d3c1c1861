// Exchange: one completion request, from choosing a replica to the client's last byte. Before the
// reply's first byte it tries once more elsewhere; after it, never.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/edge/admission.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/credit_guard.h"
#include "gateway/edge/limit_guard.h"
#include "gateway/edge/relay.h"
#include "gateway/edge/request_log.h"
#include "gateway/edge/thread_context.h"
#include "gateway/edge/upstream_call.h"

namespace turnpike::gateway {

struct ExchangeOptions {
    bool keeps_alive = true;
    bool is_http10 = false;
    // Where the body is: in `decoded_body` when it came in chunks, else at the start of the
    // connection's input.
    std::string_view decoded_body;
    std::size_t num_input_bytes = 0;
    bool is_head_sent = false;      // of a stream, whose client has waited
    LimitGuard* limits = nullptr;   // never null; outlives the exchange
    CreditGuard* credit = nullptr;  // likewise, and begun
};

class Exchange {
  public:
    Exchange(ThreadContext& context,
             Connection& connection,
             const Admission& admission,
             RequestId id,
             ExchangeOptions options,
             RequestLog& log);

    // Answers the client. True when its connection can serve another request.
    Task<bool> run();

  private:
    using Event = UpstreamCall::Event;

    // What became of one dispatch. `retry` set: the client has no answer yet, and may have this
    // one.
    struct Attempt {
        bool keeps_alive = false;
        std::optional<Error> retry;
    };

    const controlplane::ReplicaRow* choose();
    Task<Attempt> attempt(const controlplane::ReplicaRow& replica,
                          std::unique_ptr<Upstream> upstream,
                          bool is_last);
    Task<Attempt> without_head(UpstreamCall& call, UsageEntry& usage, Event event, bool is_last);
    Task<Attempt> forward_refusal(UpstreamCall& call, UsageEntry& usage, bool is_last);
    Task<bool> answer(int http_status, std::string_view body);
    Task<bool> refuse(const Error& error);
    std::string head_for(const controlplane::ReplicaRow& replica) const;
    std::string_view body() const;
    TokenCount num_tokens() const;

    ThreadContext& context_;
    Connection& connection_;
    const Admission& admission_;
    RequestId id_;
    const ExchangeOptions options_;
    RequestLog& log_;
    SteadyTime deadline_;
    std::optional<ReplicaId> excluded_;
    std::uint64_t prefix_ = 0;  // of the prompt, where there is a choice
    bool may_reuse_ = true;
};

}  // namespace turnpike::gateway
