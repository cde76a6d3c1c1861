#include "gateway/edge/limit_guard.h"

#include "gateway/policy/limit_headers.h"

namespace turnpike::gateway {

using controlplane::Limits;

namespace {

// Far below a slot's lifetime, and rare beside meter lines.
constexpr Nanos kRenewEvery = kSlotLifetime / 4;

Limits limits_of(const Directory& directory, const std::string& subject, const Limits& fallback) {
    const Limits* found = directory.find_limits(subject);
    return found == nullptr ? fallback : *found;
}

Nanos time_of(const ThreadContext& context) {
    return std::chrono::nanoseconds(context.clock.steady_now().time_since_epoch()).count();
}

// Without a model and without tokens.
LimitRequest request_of(const ThreadContext& context,
                        const Directory& directory,
                        const controlplane::KeyRow& key) {
    LimitRequest request;
    request.key = key.id.value();
    request.share = context.leases.share();
    request.organisation_limits =
        limits_of(directory, controlplane::limits_subject(key.org), context.default_limits);
    request.key_limits = limits_of(directory, controlplane::limits_subject(key.id), Limits());
    return request;
}

LimitRequest request_of(const ThreadContext& context,
                        const Admission& admission,
                        std::size_t num_body_bytes) {
    const Directory& directory = *admission.directory;
    LimitRequest request = request_of(context, directory, *admission.key);
    request.model = admission.model->name;
    request.num_tokens = estimate_tokens(num_body_bytes);
    request.model_limits =
        limits_of(directory, controlplane::model_limits_subject(admission.model->name), Limits());
    return request;
}

}  // namespace

LimitGuard::LimitGuard(ThreadContext& context,
                       const Admission& admission,
                       std::size_t num_body_bytes)
    : context_(context), account_(context.accounts.find(admission.key->org)) {
    const LimitRequest request = request_of(context, admission, num_body_bytes);
    LimitDecision decision = account_.admit(request, now());
    ticket_ = std::move(decision.ticket);
    if (!decision.refusal) {
        lines_ = limit_lines(decision.views);
        return;
    }
    refusal_ = Error{ErrorCode::kRateLimited, refusal_text(*decision.refusal), {}};
    lines_ = limit_lines(decision.views, decision.refusal->retry_after);
}

LimitGuard::~LimitGuard() {
    settle();
}

void LimitGuard::settle() {
    if (ticket_) account_.settle(*ticket_, num_tokens_, is_refused_, now());
    ticket_.reset();
}

Nanos LimitGuard::now() const {
    return time_of(context_);
}

void LimitGuard::note_meter(const TokenUsage& usage) {
    num_tokens_ = usage.prompt_tokens + usage.completion_tokens;
    is_refused_ = false;
    const Nanos time = now();
    if (!ticket_ || time < renew_at_) return;
    renew_at_ = time + kRenewEvery;
    account_.correct(*ticket_, num_tokens_, time);
}

void LimitGuard::note_end(const TokenUsage& usage, controlplane::Outcome outcome) {
    is_refused_ = outcome == controlplane::Outcome::kRefused;
    const std::int64_t num_tokens = usage.prompt_tokens + usage.completion_tokens;
    // What is not known here stays at the last count.
    if (num_tokens > 0 || is_refused_) num_tokens_ = num_tokens;
    if (outcome == controlplane::Outcome::kCompleted) settle();
}

std::string limit_lines_of(ThreadContext& context,
                           const Directory& directory,
                           const controlplane::KeyRow& key) {
    Account& account = context.accounts.find(key.org);
    return limit_lines(account.view(request_of(context, directory, key), time_of(context)));
}

}  // namespace turnpike::gateway
