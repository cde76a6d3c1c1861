#include "gateway/edge/credit_guard.h"

#include <utility>

#include "controlplane/api/limits.h"
#include "gateway/edge/lease_wait.h"

namespace turnpike::gateway {
namespace {

const Error kNoCredit{ErrorCode::kPaymentRequired,
                      "the credit of this organisation, or this key's monthly allowance, does not "
                      "cover the request: add credit, or ask for fewer tokens",
                      {}};
const Error kNoAnswer{ErrorCode::kUnavailable,
                      "this gateway cannot reach the control plane to grant credit: try again",
                      {}};

const Error kFenced{
    ErrorCode::kUnavailable,
    "another gateway has taken this one's place and its credit: it must be restarted",
    {}};

}  // namespace

CreditGuard::CreditGuard(ThreadContext& context,
                         Connection& connection,
                         const Admission& admission,
                         std::size_t num_body_bytes)
    : context_(context),
      connection_(connection),
      organisation_(controlplane::limits_subject(admission.key->org)),
      prompt_tokens_(estimate_tokens(num_body_bytes)) {
    const controlplane::Limits* const limits =
        admission.directory->find_limits(controlplane::limits_subject(admission.key->id));
    if (limits != nullptr && limits->monthly_spend)
        key_ = controlplane::limits_subject(admission.key->id);
    terms_.price = controlplane::price_at(*admission.model, context.clock.wall_now());
    terms_.num_choices = admission.num_choices;
    terms_.max_output_tokens = admission.max_tokens * admission.num_choices;
}

LeaseDesk::Answer CreditGuard::try_begin() {
    LeaseDesk::Answer answer = context_.leases.begin(organisation_, key_, terms_, prompt_tokens_);
    if (answer.hold != nullptr) hold_ = std::move(answer.hold);
    return answer;
}

Task<std::optional<Error>> CreditGuard::begin() {
    const SteadyTime deadline = context_.clock.steady_now() + kLongestLeaseWait;
    connection_.set_deadline(deadline);
    for (;;) {
        LeaseDesk::Answer answer = try_begin();
        if (hold_ != nullptr) co_return std::nullopt;
        if (answer.is_fenced) co_return kFenced;
        if (context_.clock.steady_now() >= deadline) co_return kNoAnswer;
        if (!answer.must_wait) co_return kNoCredit;
        co_await wait_for_lease_answer(context_, connection_);
    }
}

bool CreditGuard::note_meter(const TokenUsage& usage) {
    return hold_ == nullptr || hold_->on_meter(usage) != Hold::State::kExhausted;
}

void CreditGuard::note_usage(const TokenUsage& usage) {
    if (hold_ != nullptr) hold_->note_usage(usage);
}

}  // namespace turnpike::gateway
