// What the control plane answers for a customer: the gateway has checked the key, says whose it is,
// and passes the question and the answer on. Needs the control plane; completions do not.
#pragma once

#include <string>
#include <string_view>

#include "gateway/edge/admission.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/thread_context.h"

namespace turnpike::gateway {

struct QueryAnswer {
    int status = 0;  // 0: the client has gone
    std::string body;
};

// An answer of 503 when the control plane cannot be asked. `body` outlives the call.
Task<QueryAnswer> ask_controlplane(ThreadContext& context,
                                   Connection& connection,
                                   const IncomingRequest& request,
                                   std::string_view body);

}  // namespace turnpike::gateway
