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
    ReconcileLoopOptions options, Store& store, Driver& driver, const Clock& clock, Log& log)
    : options_(std::move(options)),
      store_(store),
      driver_(driver),
      clock_(clock),
      log_(log),
      scaling_(options_.scaling, options_.loads, store, log),
      billing_(options_.overdraft, store, log) {
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

void ReconcileLoop::start() {
    CHECK(!thread_.joinable());
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
    bool is_parked = false;
    {
        const std::lock_guard lock(mutex_);
        is_parked = is_parked_;
    }
    const Result<Observed> observed = observe(store_, driver_, options_.probe);
    Result<Desired> desired = read_desired(store_, options_.hardware, is_parked);
    if (!observed || !desired) {
        const Error& error = !observed ? observed.error() : desired.error();
        log_.error("pass_failed", {{"error", error.message}});
        return false;
    }
    billing_.run(*desired, *observed, clock_.wall_now());
    scaling_.run(*desired, *observed, clock_.wall_now());
    const Plan plan = reconcile(*desired, *observed, clock_.wall_now());
    const ApplyTo to{store_, driver_, options_.models, clock_, log_};
    for (const Action& action : plan.actions) {
        {
            const std::lock_guard lock(mutex_);
            if (is_stopping_) return false;
        }
        const Status applied = apply(to, action);
        if (!applied) log_.error("action_failed", {{"error", applied.error().message}});
    }
    bool nothing_runs = is_parked;
    for (const ObservedProcess& process : observed->processes)
        nothing_runs = nothing_runs && !process.is_running;
    // The rows must say so as well: a control plane that starts later believes them.
    answer_waiters(nothing_runs && plan.actions.empty(), false);
    return plan.is_settling || is_parked;
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
