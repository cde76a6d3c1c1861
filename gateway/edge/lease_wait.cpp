#include "gateway/edge/lease_wait.h"

#include <memory>
#include <utility>

namespace turnpike::gateway {

Task<> wait_for_lease_answer(ThreadContext& context, Connection& connection) {
    // Reported on the loop's thread, if the request still waits for it.
    const auto waiting = std::make_shared<Connection*>(&connection);
    auto report = [&loop = context.loop, weak = std::weak_ptr<Connection*>(waiting)] {
        loop.post([weak] {
            const auto still_waiting = weak.lock();
            if (still_waiting != nullptr) (*still_waiting)->notify(Connection::kCredit);
        });
    };
    context.leases.when_answered(std::move(report));
    co_await connection.wait(Connection::kCredit | Connection::kDeadline);
}

Task<bool> wait_for_share(ThreadContext& context, Connection& connection) {
    if (context.leases.share().ppm > 0) co_return true;
    const SteadyTime deadline = context.clock.steady_now() + kLongestLeaseWait;
    connection.set_deadline(deadline);
    while (context.leases.share().ppm == 0 && context.clock.steady_now() < deadline) {
        co_await wait_for_lease_answer(context, connection);
    }
    co_return context.leases.share().ppm > 0;
}

}  // namespace turnpike::gateway
