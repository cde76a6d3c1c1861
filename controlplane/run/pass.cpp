#include "controlplane/run/pass.h"

#include <utility>

namespace turnpike::controlplane {

ReconcilePass::ReconcilePass(ReconcileOptions options,
                             Store& store,
                             Driver& driver,
                             LoopMetrics& metrics,
                             const Clock& clock,
                             Log& log)
    : options_(std::move(options)),
      store_(store),
      driver_(driver),
      metrics_(metrics),
      clock_(clock),
      log_(log),
      scaling_(options_.scaling, options_.loads, store, metrics, log),
      billing_(options_.overdraft, store, metrics, log),
      retention_(options_.retention, store, log) {}

PassOutcome ReconcilePass::run(bool is_parked, const std::function<bool()>& is_stopping) {
    const SteadyTime began = clock_.steady_now();
    retention_.run(clock_.wall_now());
    const Result<Observed> observed =
        observe(store_, driver_, options_.probe, options_.num_probe_threads);
    Result<Desired> desired = read_desired(store_, options_.hardware, is_parked);
    if (!observed || !desired) {
        const Error& error = !observed ? observed.error() : desired.error();
        log_.error("pass_failed", {{"error", error.message}});
        metrics_.note_pass(began, clock_.steady_now(), false);
        return {};
    }
    billing_.run(*desired, *observed, clock_.wall_now());
    scaling_.run(*desired, *observed, clock_.wall_now());
    const Plan plan = reconcile(*desired, *observed, clock_.wall_now());
    const ApplyTo to{store_, driver_, options_.models, clock_, log_};
    for (const Action& action : plan.actions) {
        if (is_stopping()) return {};
        const Status applied = apply(to, action);
        metrics_.note(action, applied.has_value(), *observed);
        if (!applied) log_.error("action_failed", {{"error", applied.error().message}});
    }
    bool nothing_runs = plan.actions.empty();
    for (const ObservedProcess& process : observed->processes)
        nothing_runs = nothing_runs && !process.is_running;
    metrics_.note_pass(began, clock_.steady_now(), true);
    return {plan.is_settling, nothing_runs};
}

}  // namespace turnpike::controlplane
