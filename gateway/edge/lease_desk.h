// LeaseDesk: the credit of this gateway: a LeaseBook behind a lock, the holds that requests open in
// it, and whoever waits for a grant. LeaseClient talks to the control plane for it. Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "gateway/policy/lease_book.h"

namespace turnpike::gateway {

class LeaseDesk;

// One request's hold. Settled when it goes, at the cost of the usage that was noted. One thread at
// a time; must not outlive its desk.
class CreditHold {
  public:
    CreditHold(LeaseDesk& desk, CreditLease& organisation, CreditLease* key, const HoldTerms& terms)
        : desk_(desk), hold_(organisation, key, terms) {}

    ~CreditHold();
    CreditHold(const CreditHold&) = delete;
    CreditHold& operator=(const CreditHold&) = delete;

    // At every meter line.
    Hold::State on_meter(const TokenUsage& usage);

    // A closed record that is billed.
    void note_usage(const TokenUsage& usage) { cost_ = cost_ + cost_of(hold_.price(), usage); }

  private:
    friend class LeaseDesk;

    LeaseDesk& desk_;
    Hold hold_;
    NanoUsd cost_;
};

struct LeaseDeskOptions {
    LeaseBookOptions book;
    // What an organisation may spend before the control plane has answered for the first time in
    // this run: with it a gateway that starts while it is away serves on. Zero: money fails closed.
    NanoUsd unleased{1'000'000'000};
    // A refusal is as fresh as this: credit that was added later than that is asked for again.
    Nanos ask_again_after = 1'000'000'000;
};

class LeaseDesk {
  public:
    LeaseDesk(const Clock& clock, LeaseDeskOptions options);

    struct Answer {
        std::unique_ptr<CreditHold> hold;  // set: held
        bool must_wait = false;            // for an answer of the control plane
        bool is_fenced = false;            // another run has this gateway's place
    };

    // Neither a hold nor a wait: there is no credit. key: a subject with a monthly allowance, or
    // empty.
    Answer begin(const std::string& organisation,
                 const std::string& key,
                 const HoldTerms& terms,
                 TokenCount prompt_tokens);
    // Calls `report` once, after the next answer or failure, from another thread.
    void when_answered(std::function<void()> report);

    // Of every rate limit.
    LimitsShare share() const;

    // Open holds, for tests and metrics.
    std::size_t num_holds() const;

    // What LeaseClient does: what to post now, if anything; what came of it.
    std::optional<controlplane::LeaseRequest> next_request(const std::string& gateway,
                                                           bool has_delivered_earlier_runs);
    // The last one of this run; none for one that is fenced. Of epoch 0 it gives back what earlier
    // runs held, and is followed by another.
    std::optional<controlplane::LeaseRequest> leave(const std::string& gateway,
                                                    bool has_delivered_earlier_runs);
    void apply(const controlplane::LeaseAnswer& answer, Nanos sent_at);
    void fence();

    // The post failed.
    void note_failure() { report_to_waiting(); }

    // Until somebody wants more than there is, at most `timeout`, or wake().
    void wait_for_want(std::chrono::milliseconds timeout);
    void wake();

    // See LeaseBook.
    void checkpoint();
    void confirm_checkpoint();

    Nanos now() const;

  private:
    friend class CreditHold;

    void settle(CreditHold& hold);
    Hold::State on_meter(CreditHold& hold, const TokenUsage& usage);
    CreditLease& lease_of(const std::string& subject, Nanos time);
    void report_to_waiting();
    void want();

    const Clock& clock_;
    const LeaseDeskOptions options_;
    mutable std::mutex mutex_;  // guards the rest
    LeaseBook book_;
    std::vector<std::function<void()>> waiting_;
    std::size_t num_holds_ = 0;
    Nanos answered_at_ = INT64_MIN;
    Nanos asked_at_ = INT64_MIN;
    bool is_wanted_ = false;  // somebody waits for more than there is
    std::condition_variable wanted_;
};

}  // namespace turnpike::gateway
