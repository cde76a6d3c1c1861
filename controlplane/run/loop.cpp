#include "controlplane/run/loop.h"

#include <utility>

#include "config/base/check.h"
#include "config/base/limits.h"

namespace turnpike::controlplane {
namespace {

// How soon to look again while a replica is starting, draining or backing off.
constexpr auto kSettlingPeriod = std::chrono::milliseconds(200);
// Commits of the pass itself wake the loop too; this keeps it from spinning on a failing action.
constexpr auto kMinPause = std::chrono::milliseconds(20);

}  // namespace

ReconcileLoop::ReconcileLoop(
    ReconcileOptions options, Store& store, Driver& driver, const Clock& clock, Log& log)
    : store_(store), clock_(clock), pass_(std::move(options), store, driver, metrics_, clock, log) {
    subscription_ = store_.subscribe([this] { wake(); });
}

ReconcileLoop::~ReconcileLoop() {
    store_.unsubscribe(subscription_);
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    woken_.notify_all();
    if (thread_.joinable()) thread_.join();
    answer_waiters(false, true);
}

void ReconcileLoop::start(std::function<void()> on_turn) {
    CHECK(!thread_.joinable());
    on_turn_ = std::move(on_turn);
    thread_ = std::thread([this] { run(); });
}

void ReconcileLoop::wake() {
    {
        const std::lock_guard lock(mutex_);
        is_woken_ = true;
    }
    woken_.notify_all();
}

void ReconcileLoop::park(std::chrono::milliseconds timeout, std::function<void(bool)> on_parked) {
    {
        const std::lock_guard lock(mutex_);
        is_parked_ = true;
        is_woken_ = true;
        waiters_.push_back({clock_.steady_now() + timeout, std::move(on_parked)});
    }
    woken_.notify_all();
}

void ReconcileLoop::run() {
    bool is_settling = true;
    while (wait(is_settling)) is_settling = run_pass();
}

// False when the loop is to end.
bool ReconcileLoop::wait(bool is_settling) {
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, kMinPause, [&] { return is_stopping_; });
    const std::chrono::milliseconds period =
        is_settling ? kSettlingPeriod : std::chrono::milliseconds(limits::kReconcilePeriod);
    woken_.wait_for(lock, period - kMinPause, [&] { return is_woken_ || is_stopping_; });
    is_woken_ = false;
    return !is_stopping_;
}

// Whether to look again soon.
bool ReconcileLoop::run_pass() {
    turn();
    bool is_parked = false;
    {
        const std::lock_guard lock(mutex_);
        is_parked = is_parked_;
    }
    const PassOutcome outcome = pass_.run(is_parked, [this] {
        turn();
        const std::lock_guard lock(mutex_);
        return is_stopping_;
    });
    answer_waiters(is_parked && outcome.nothing_runs, false);
    return outcome.is_settling || is_parked;
}

void ReconcileLoop::turn() {
    if (on_turn_) on_turn_();
}

void ReconcileLoop::answer_waiters(bool nothing_runs, bool is_last) {
    std::vector<Waiter> answered;
    {
        const std::lock_guard lock(mutex_);
        const SteadyTime now = clock_.steady_now();
        std::erase_if(waiters_, [&](Waiter& waiter) {
            if (!nothing_runs && !is_last && now < waiter.deadline) return false;
            answered.push_back(std::move(waiter));
            return true;
        });
    }
    for (const Waiter& waiter : answered) waiter.on_parked(nothing_runs);
}

}  // namespace turnpike::controlplane
