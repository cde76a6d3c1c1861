// Holds: money set aside for a request inside this gateway's credit lease before it is dispatched,
// topped up while it streams, and turned into what was spent when it ends. Nothing here is granted
// to anybody: leases come from the control plane (ops/docs/formats/leases.md). Pure; the time is an
// argument. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "config/base/money.h"
#include "gateway/policy/gcra.h"

namespace turnpike::gateway {

// Output tokens that a hold covers ahead of what has been produced.
inline constexpr TokenCount kHoldTokens = 4096;
// A hold is topped up when it covers less than this ahead: at 100 tokens/s, 20 s to get credit.
inline constexpr TokenCount kTopUpBelowTokens = kHoldTokens / 2;
// What an engine may still produce after it is told to stop: two steps in flight with speculation,
// for each choice. A stream ends this far ahead of its hold, so that its bill fits.
inline constexpr TokenCount kStopMarginTokens = 16;

// The part of an organisation's credit, or of a key's monthly allowance, that this gateway may
// spend. Sums only grow within one run of the gateway, so a repeated or late answer harms nothing.
class CreditLease {
  public:
    // All that was ever granted in this run, and until when it may be used. An older answer than
    // the last changes nothing.
    void grant(NanoUsd total, Nanos expires_at);
    // Gives what is free back to the control plane and returns the total ever given back.
    NanoUsd give_back_free();

    // What was granted so far was an allowance without the control plane's word: it is none of the
    // grants that count from now on. What was spent and is held of it still has to be covered.
    void end_allowance() {
        granted_ = NanoUsd();
        expire();
    }

    // Nothing new fits until a later grant; holds stay.
    void expire() { expires_at_ = INT64_MIN; }

    // What a new hold can be.
    NanoUsd free() const { return granted_ - returned_ - spent_ - held_; }

    NanoUsd granted() const { return granted_; }

    NanoUsd returned() const { return returned_; }

    NanoUsd spent() const { return spent_; }

    NanoUsd held() const { return held_; }

    // Held money stays usable by its request after expiry; new holds do not fit.
    bool fits(NanoUsd amount, Nanos now) const;
    void hold(NanoUsd amount);
    // Ends a hold of `amount`, of which `cost` was spent. A cost over the hold is taken too: free()
    // may go below zero, and then nothing fits until it is covered.
    void settle(NanoUsd amount, NanoUsd cost);

  private:
    NanoUsd granted_;
    NanoUsd returned_;
    NanoUsd spent_;
    NanoUsd held_;
    Nanos expires_at_ = INT64_MIN;
};

// What a request can cost, as its hold is reckoned.
struct HoldTerms {
    Price price;
    TokenCount max_output_tokens = 0;  // of all choices
    TokenCount num_choices = 1;
};

// One request's money in one or two leases: its organisation's, and its key's when that has a
// monthly allowance. Must be settled; the leases must outlive it.
class Hold {
  public:
    enum class State {
        kCovered,    // go on
        kLow,        // go on, but there is not enough credit for a whole top-up: ask for more
        kExhausted,  // stop now: what was produced is paid for, and no more
    };

    Hold(CreditLease& organisation, CreditLease* key, const HoldTerms& terms);

    // Before dispatch, for a prompt of about `prompt_tokens`. False: no credit, nothing is held.
    bool begin(TokenCount prompt_tokens, Nanos now);
    // Whether nothing has to be topped up; looks at this hold alone, not at its leases.
    bool covers(const TokenUsage& usage) const;
    // At every meter line: tops up when it is time. Without credit for a whole top-up it takes what
    // there is.
    State on_meter(const TokenUsage& usage, Nanos now);
    // Every end state: the exact cost, zero for what is written off. Settling twice is settling
    // once.
    void settle(NanoUsd cost);

    NanoUsd amount() const { return amount_; }

    const Price& price() const { return terms_.price; }

    bool is_open() const { return is_open_; }

  private:
    bool take(NanoUsd amount, Nanos now);
    NanoUsd wanted_for(const TokenUsage& usage, TokenCount num_ahead) const;
    NanoUsd free(Nanos now) const;

    CreditLease& organisation_;
    CreditLease* key_;
    HoldTerms terms_;
    NanoUsd amount_;
    bool is_open_ = false;
};

}  // namespace turnpike::gateway
