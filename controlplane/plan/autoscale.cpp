#include "controlplane/plan/autoscale.h"

#include <algorithm>
#include <cmath>

#include "config/base/check.h"

namespace turnpike::controlplane {
namespace {

// Loads are whole requests: a mean this close to a whole number of replicas is that number.
constexpr double kRounding = 1e-6;

int replicas_for(double num_requests, double target) {
    return static_cast<int>(std::ceil(num_requests / target - kRounding));
}

void raise(ScaleDecision& decision, int num_replicas, const char* reason) {
    if (num_replicas > decision.num_replicas) decision = {num_replicas, reason};
}

}  // namespace

Autoscaler::Autoscaler(int num_replicas, WallTime last_request, WallTime now)
    : wants_{{now, num_replicas}},
      last_request_(last_request),
      has_begun_(num_replicas > 0),
      panic_end_(now) {}

// Of the requests in hand, each sample weighing until the next.
double Autoscaler::mean_since(WallTime begin) const {
    using Seconds = std::chrono::duration<double>;
    double sum = 0.0;
    double weight = 0.0;
    for (std::size_t i = 0; i + 1 < samples_.size(); ++i) {
        const Seconds held = samples_[i + 1].at - std::max(samples_[i].at, begin);
        if (held.count() <= 0.0) continue;
        sum += held.count() * samples_[i].num_requests;
        weight += held.count();
    }
    return weight > 0.0 ? sum / weight : samples_.back().num_requests;
}

// By the signals of this moment, before anything is held back.
ScaleDecision Autoscaler::want(const ScalePolicy& policy, const LoadSample& sample) {
    const double mean = mean_since(sample.at - policy.stable_window);
    const double recent = mean_since(sample.at - policy.panic_window);
    ScaleDecision decision{0, "no requests"};
    raise(decision, replicas_for(mean, policy.target_in_flight), "requests in hand");
    const int panicked = replicas_for(recent, policy.target_in_flight);
    const bool panics = panicked > sample.num_ready &&
                        panicked >= policy.panic_ratio * std::max(1, sample.num_ready);
    if (panics) panic_end_ = sample.at + policy.stable_window;
    panic_replicas_ = sample.at < panic_end_ ? std::max(panic_replicas_, panicked) : 0;
    raise(decision, panic_replicas_, "a rush of requests");
    // These ask for one more than serve, and again only when that one does.
    if (sample.num_ready > 0 && sample.kv_usage > policy.max_kv_usage)
        raise(decision, sample.num_ready + 1, "the key-value cache is full");
    if (sample.wait > policy.max_wait)
        raise(decision, sample.num_ready + 1, "requests wait for a replica");
    if (sample.num_requests > 0.0) raise(decision, 1, "a request");
    return decision;
}

int Autoscaler::most_wanted(const ScalePolicy& policy, WallTime now, int wanted) {
    while (!wants_.empty() && wants_.front().at <= now - policy.down_window) wants_.pop_front();
    while (!wants_.empty() && wants_.back().num_replicas <= wanted) wants_.pop_back();
    wants_.push_back({now, wanted});
    return wants_.front().num_replicas;
}

ScaleDecision Autoscaler::decide(const ScalePolicy& policy,
                                 const Autoscaling& bounds,
                                 const LoadSample& sample) {
    CHECK(policy.target_in_flight > 0.0 && bounds.min_replicas <= bounds.max_replicas);
    if (!samples_.empty() && sample.at < samples_.back().at) samples_.clear();  // the clock was set
    samples_.push_back(sample);
    while (samples_.size() > 2 && samples_[1].at <= sample.at - policy.stable_window)
        samples_.pop_front();
    const bool is_in_hand = sample.num_requests > 0.0;  // counts also when the clock was set back
    if (is_in_hand || sample.last_request > last_request_) {
        last_request_ = is_in_hand ? sample.at : sample.last_request;
        has_begun_ = true;
    }

    ScaleDecision decision = want(policy, sample);
    const int most = most_wanted(policy, sample.at, decision.num_replicas);
    const bool is_idle = !has_begun_ || sample.at - last_request_ >= policy.idle_window;
    if (bounds.min_replicas == 0 && is_idle) {
        wants_.clear();
        has_begun_ = false;
        decision = {0, "no requests"};
    } else {
        raise(decision, std::max(most, 1), "wanted not long ago");
    }
    if (decision.num_replicas < bounds.min_replicas) return {bounds.min_replicas, "min_replicas"};
    if (decision.num_replicas > bounds.max_replicas) decision.num_replicas = bounds.max_replicas;
    return decision;
}

}  // namespace turnpike::controlplane
