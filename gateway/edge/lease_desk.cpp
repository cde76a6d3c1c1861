#include "gateway/edge/lease_desk.h"

#include <utility>

namespace turnpike::gateway {
namespace {

// Also when nothing is missing: others may have joined and wait for their share of the limits, and
// what is spent becomes settled.
constexpr Nanos kAskEvery = 1'000'000'000;
// While this gateway is the one that waits.
constexpr Nanos kAskForShareEvery = 100'000'000;

}  // namespace

// A hold that did not fit goes under the desk's lock.
CreditHold::~CreditHold() {
    if (hold_.is_open()) desk_.settle(*this);
}

Hold::State CreditHold::on_meter(const TokenUsage& usage) {
    if (hold_.covers(usage)) return Hold::State::kCovered;  // nearly always: without the lock
    return desk_.on_meter(*this, usage);
}

LeaseDesk::LeaseDesk(const Clock& clock, LeaseDeskOptions options)
    : clock_(clock), options_(options), book_(options.book) {}

Nanos LeaseDesk::now() const {
    return std::chrono::nanoseconds(clock_.steady_now().time_since_epoch()).count();
}

CreditLease& LeaseDesk::lease_of(const std::string& subject, Nanos time) {
    CreditLease& lease = book_.use(subject, time);
    const bool was_never_answered = answered_at_ == INT64_MIN;
    if (was_never_answered && lease.granted() == NanoUsd())
        lease.grant(options_.unleased, INT64_MAX);
    return lease;
}

LeaseDesk::Answer LeaseDesk::begin(const std::string& organisation,
                                   const std::string& key,
                                   const HoldTerms& terms,
                                   TokenCount prompt_tokens) {
    const std::lock_guard lock(mutex_);
    const Nanos time = now();
    Answer answer;
    answer.is_fenced = book_.is_fenced();
    if (answer.is_fenced) return answer;
    CreditLease& lease = lease_of(organisation, time);
    CreditLease* const key_lease = key.empty() ? nullptr : &lease_of(key, time);
    auto hold = std::make_unique<CreditHold>(*this, lease, key_lease, terms);
    if (hold->hold_.begin(prompt_tokens, time)) {
        ++num_holds_;
        answer.hold = std::move(hold);
        return answer;
    }
    const bool is_short = book_.is_short(organisation) || (!key.empty() && book_.is_short(key));
    const bool is_fresh = time - answered_at_ < options_.ask_again_after;
    answer.must_wait = !(is_short && answered_at_ != INT64_MIN && is_fresh);
    if (answer.must_wait) want();
    return answer;
}

Hold::State LeaseDesk::on_meter(CreditHold& hold, const TokenUsage& usage) {
    const std::lock_guard lock(mutex_);
    const Hold::State state = hold.hold_.on_meter(usage, now());
    if (state != Hold::State::kCovered) want();
    return state;
}

void LeaseDesk::settle(CreditHold& hold) {
    const std::lock_guard lock(mutex_);
    hold.hold_.settle(hold.cost_);
    --num_holds_;
}

void LeaseDesk::when_answered(std::function<void()> report) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(report));
    want();
}

void LeaseDesk::want() {
    is_wanted_ = true;
    wanted_.notify_one();
}

void LeaseDesk::wait_for_want(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    wanted_.wait_for(lock, timeout, [this] { return is_wanted_; });
}

void LeaseDesk::wake() {
    const std::lock_guard lock(mutex_);
    want();
}

LimitsShare LeaseDesk::share() const {
    const std::lock_guard lock(mutex_);
    return book_.share();
}

std::size_t LeaseDesk::num_holds() const {
    const std::lock_guard lock(mutex_);
    return num_holds_;
}

std::optional<controlplane::LeaseRequest> LeaseDesk::next_request(const std::string& gateway,
                                                                  bool has_delivered_earlier_runs) {
    const std::lock_guard lock(mutex_);
    const Nanos time = now();
    if (book_.is_fenced()) {
        is_wanted_ = false;
        return std::nullopt;
    }
    const Nanos pace = book_.share().ppm == 0 ? kAskForShareEvery : kAskEvery;
    const bool is_due = asked_at_ == INT64_MIN || time - asked_at_ >= pace;
    if (!is_wanted_ && !is_due && !book_.needs_renewal(time)) return std::nullopt;
    is_wanted_ = false;
    asked_at_ = time;
    return book_.next_request(gateway, has_delivered_earlier_runs, time);
}

std::optional<controlplane::LeaseRequest> LeaseDesk::leave(const std::string& gateway,
                                                           bool has_delivered_earlier_runs) {
    const std::lock_guard lock(mutex_);
    if (book_.is_fenced()) return std::nullopt;
    return book_.leave(gateway, has_delivered_earlier_runs);
}

void LeaseDesk::apply(const controlplane::LeaseAnswer& answer, Nanos sent_at) {
    {
        const std::lock_guard lock(mutex_);
        if (answered_at_ == INT64_MIN) book_.end_allowances();
        answered_at_ = now();
        const bool gives_way = answer.share_ppm < book_.share().ppm;
        book_.apply(answer, sent_at, answered_at_);
        // Who joined gets a share once this gateway has said that it goes by less.
        if (gives_way) want();
    }
    report_to_waiting();
}

void LeaseDesk::fence() {
    {
        const std::lock_guard lock(mutex_);
        book_.fence();
    }
    report_to_waiting();
}

void LeaseDesk::report_to_waiting() {
    std::vector<std::function<void()>> waiting;
    {
        const std::lock_guard lock(mutex_);
        waiting.swap(waiting_);
    }
    for (const auto& report : waiting) report();
}

void LeaseDesk::checkpoint() {
    const std::lock_guard lock(mutex_);
    book_.checkpoint();
}

void LeaseDesk::confirm_checkpoint() {
    const std::lock_guard lock(mutex_);
    book_.confirm_checkpoint();
}

}  // namespace turnpike::gateway
