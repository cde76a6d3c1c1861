#include "gateway/policy/holds.h"

#include <algorithm>

#include "config/base/check.h"

namespace turnpike::gateway {

void CreditLease::grant(NanoUsd total, Nanos expires_at) {
    granted_ = std::max(granted_, total);
    expires_at_ = std::max(expires_at_, expires_at);
}

NanoUsd CreditLease::give_back_free() {
    returned_ = returned_ + std::max(NanoUsd(), free());
    return returned_;
}

bool CreditLease::fits(NanoUsd amount, Nanos now) const {
    if (amount == NanoUsd()) return true;  // what costs nothing needs no lease
    return now < expires_at_ && amount <= free();
}

void CreditLease::hold(NanoUsd amount) {
    held_ = held_ + amount;
}

void CreditLease::settle(NanoUsd amount, NanoUsd cost) {
    CHECK(amount <= held_ && cost >= NanoUsd());
    held_ = held_ - amount;
    spent_ = spent_ + cost;
}

Hold::Hold(CreditLease& organisation, CreditLease* key, const HoldTerms& terms)
    : organisation_(organisation), key_(key), terms_(terms) {}

NanoUsd Hold::free(Nanos now) const {
    NanoUsd room = organisation_.free();
    if (key_ != nullptr) room = std::min(room, key_->free());
    const bool is_usable = organisation_.fits(std::max(room, NanoUsd()), now) &&
                           (key_ == nullptr || key_->fits(std::max(room, NanoUsd()), now));
    return is_usable ? std::max(room, NanoUsd()) : NanoUsd();
}

// Both leases are checked before either is charged.
bool Hold::take(NanoUsd amount, Nanos now) {
    if (!organisation_.fits(amount, now)) return false;
    if (key_ != nullptr && !key_->fits(amount, now)) return false;
    organisation_.hold(amount);
    if (key_ != nullptr) key_->hold(amount);
    amount_ = amount_ + amount;
    return true;
}

// What `usage` costs, and `num_ahead` tokens more of those that may still come.
NanoUsd Hold::wanted_for(const TokenUsage& usage, TokenCount num_ahead) const {
    const TokenCount left =
        std::max<TokenCount>(0, terms_.max_output_tokens - usage.completion_tokens);
    return cost_of(terms_.price, usage) +
           multiply(terms_.price.output_nano_usd, std::min(left, num_ahead));
}

bool Hold::begin(TokenCount prompt_tokens, Nanos now) {
    CHECK(!is_open_);
    TokenUsage prompt;
    prompt.prompt_tokens = prompt_tokens;
    is_open_ = take(wanted_for(prompt, kHoldTokens), now);
    return is_open_;
}

bool Hold::covers(const TokenUsage& usage) const {
    return amount_ >= wanted_for(usage, kTopUpBelowTokens);
}

Hold::State Hold::on_meter(const TokenUsage& usage, Nanos now) {
    CHECK(is_open_);
    if (covers(usage)) return State::kCovered;
    const NanoUsd more = wanted_for(usage, kHoldTokens) - amount_;
    if (take(more, now)) return State::kCovered;
    take(std::min(more, free(now)), now);
    const TokenCount margin = kStopMarginTokens * terms_.num_choices;
    return amount_ < wanted_for(usage, margin) ? State::kExhausted : State::kLow;
}

void Hold::settle(NanoUsd cost) {
    if (!is_open_) return;
    is_open_ = false;
    organisation_.settle(amount_, cost);
    if (key_ != nullptr) key_->settle(amount_, cost);
    amount_ = NanoUsd();
}

}  // namespace turnpike::gateway
