// Waiting for the control plane's next word on leases, as a request does that cannot go on without.
#pragma once

#include "gateway/edge/connection.h"
#include "gateway/edge/task.h"
#include "gateway/edge/thread_context.h"

namespace turnpike::gateway {

// A control plane that restarts answers within this time; a client hears why after it.
inline constexpr auto kLongestLeaseWait = std::chrono::seconds(5);

// Until the next answer, or failure, or the connection's deadline.
Task<> wait_for_lease_answer(ThreadContext& context, Connection& connection);

// Until this gateway has a part of the rate limits: one that has just joined others gets none
// before they have given way. At most kLongestLeaseWait; false: it still has none.
Task<bool> wait_for_share(ThreadContext& context, Connection& connection);

}  // namespace turnpike::gateway
