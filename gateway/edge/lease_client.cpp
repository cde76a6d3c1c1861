#include "gateway/edge/lease_client.h"

#include <utility>

#include "config/base/failpoint.h"
#include "gateway/edge/controlplane_wire.h"
#include "gateway/edge/share_file.h"

namespace turnpike::gateway {
namespace {

// Between looks at what is settled when nobody waits.
constexpr auto kPace = std::chrono::milliseconds(100);
constexpr auto kRetry = std::chrono::milliseconds(200);

net::HttpClientOptions client_options(const net::NetAddress& address) {
    net::HttpClientOptions options;
    options.address = address;
    return options;
}

}  // namespace

LeaseClient::LeaseClient(LeaseDesk& desk,
                         Outbox& outbox,
                         const UsageDelivery& delivery,
                         const MeterResolver& resolver,
                         const net::NetAddress& controlplane,
                         Log& log,
                         Purpose purpose)
    : desk_(desk),
      outbox_(outbox),
      delivery_(delivery),
      resolver_(resolver),
      client_(client_options(controlplane)),
      log_(log),
      is_leaving_(purpose == Purpose::kLeave),
      thread_([this] { run(); }) {}

LeaseClient::~LeaseClient() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    stop_.notify_all();
    desk_.wake();
    client_.cancel();
    thread_.join();
}

void LeaseClient::sleep(std::chrono::milliseconds duration) {
    std::unique_lock lock(mutex_);
    stop_.wait_for(lock, duration, [this] { return is_stopping_.load(); });
}

// What was spent at a checkpoint is settled once everything in the outbox then is acknowledged.
void LeaseClient::move_checkpoint() {
    if (checkpoint_ && delivery_.delivered_sequence() < *checkpoint_) return;
    if (checkpoint_) desk_.confirm_checkpoint();
    desk_.checkpoint();
    checkpoint_ = outbox_.next_sequence();
}

bool LeaseClient::has_delivered_earlier_runs() {
    if (!earlier_end_ && resolver_.num_pending() == 0) earlier_end_ = outbox_.next_sequence();
    return earlier_end_ && delivery_.delivered_sequence() >= *earlier_end_;
}

bool LeaseClient::leave(std::chrono::milliseconds timeout) {
    is_leaving_ = true;
    desk_.wake();
    std::unique_lock lock(mutex_);
    stop_.wait_for(lock, timeout, [this] { return has_tried_to_leave_; });
    return has_left_;
}

// A share is kept before it is used, so that no later run goes by more than was told last.
bool LeaseClient::take(const controlplane::LeaseAnswer& answer, Nanos sent_at) {
    const std::int64_t before = desk_.share().ppm;
    if (answer.share_ppm != before) {
        if (const Status kept = save_share(outbox_.dir(), answer.share_ppm); !kept) {
            log_.error("share_not_kept", {{"reason", kept.error().message}});
            return false;
        }
        log_.info("limits_share_changed", {{"from_ppm", before}, {"to_ppm", answer.share_ppm}});
    }
    desk_.apply(answer, sent_at);
    return true;
}

void LeaseClient::post_leaving() {
    // What is delivered is settled: the first confirms an earlier checkpoint, the second its own.
    move_checkpoint();
    move_checkpoint();
    const std::int64_t share_ppm = desk_.share().ppm;
    // Not used any more: what a later run finds must not be more than the control plane knows of.
    const bool may_leave = save_share(outbox_.dir(), 0).has_value();
    bool has_left = false;
    bool may_be_known = false;  // to the control plane, that this gateway left
    while (may_leave && !has_left && !is_stopping_) {
        const auto request = desk_.leave(outbox_.id(), has_delivered_earlier_runs());
        if (!request) break;
        const Posted posted = post(*request);
        may_be_known = may_be_known || posted != Posted::kNotSent;
        // What this run spent can be settled in an epoch only.
        has_left = posted == Posted::kAnswered && request->epoch != Epoch(0);
        if (posted != Posted::kAnswered) sleep(kRetry);
    }
    if (may_leave && !may_be_known) {
        const Status kept = save_share(outbox_.dir(), share_ppm);
        if (!kept) log_.error("share_not_kept", {{"reason", kept.error().message}});
    }
    const std::lock_guard lock(mutex_);
    has_tried_to_leave_ = true;
    has_left_ = has_left;
    stop_.notify_all();
}

void LeaseClient::run() {
    while (!is_stopping_) {
        if (is_leaving_) return post_leaving();
        move_checkpoint();
        const auto request = desk_.next_request(outbox_.id(), has_delivered_earlier_runs());
        if (!request) {
            desk_.wait_for_want(kPace);
            continue;
        }
        if (post(*request) == Posted::kAnswered) {
            if (std::exchange(was_failing_, false)) log_.info("leases_resumed");
            continue;
        }
        desk_.note_failure();
        sleep(kRetry);
    }
}

LeaseClient::Posted LeaseClient::post(const controlplane::LeaseRequest& request) {
    const Nanos sent_at = desk_.now();
    net::HttpRequest message;
    message.method = "POST";
    message.target = "/internal/v1/leases";
    message.headers.add("content-type", "application/json");
    message.body = controlplane::write_lease_request(request);
    const auto response = call_controlplane(client_, message);
    const bool is_unsent = !response && response.error().code == ErrorCode::kUnavailable;
    const Posted failed = is_unsent ? Posted::kNotSent : Posted::kLost;
    if (is_stopping_) return failed;
    std::string problem;
    if (!response) {
        problem = response.error().message;
    } else if (response->status == 409) {
        log_.error("leases_fenced", {{"gateway", request.gateway}});
        desk_.fence();
        return Posted::kAnswered;
    } else if (response->status != 200) {
        problem = "the control plane answered " + std::to_string(response->status);
    } else if (const auto answer = controlplane::parse_lease_answer(response->body)) {
        pass_failpoint(Failpoint::kLeaseAnswered);
        return take(*answer, sent_at) ? Posted::kAnswered : Posted::kLost;
    } else {
        problem = answer.error().message;
    }
    if (!std::exchange(was_failing_, true)) log_.warning("leases_failed", {{"reason", problem}});
    return failed;
}

}  // namespace turnpike::gateway
