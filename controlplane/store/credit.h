// Credit of an organisation: paid in, paid back, adjusted; and reversals, the only way to correct
// a ledger transaction. Each is audited.
#pragma once

#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

class Store;

enum class CreditKind {
    kAdd,     // external -> prepaid: money that came in
    kRefund,  // prepaid -> external: unused credit that is paid back
    kAdjust,  // adjustments -> prepaid: goodwill or a correction, of either sign
};

std::string_view to_string(CreditKind kind);
Result<CreditKind> parse_credit_kind(std::string_view text);

struct Credit {
    OrgId org;
    NanoUsd amount;               // more than zero; an adjustment may also be less
    std::string note;             // the reason; only an addition may go without
    std::string idempotency_key;  // empty: every call counts
    CreditKind kind = CreditKind::kAdd;
};

struct CreditResult {
    std::string transaction;  // "credit:<org>:<key>", "refund:…", "adjust:…", "reversal:<ref>"
    NanoUsd balance_nano_usd;
};

// A repeated key of the organisation and kind changes nothing and answers with the same
// transaction; with another amount it is a kConflict, and so is a refund of more than the balance.
// kNotFound: no such organisation; kInvalidArgument: an amount of zero, of the wrong sign or over
// 10^9 USD, or no reason.
Result<CreditResult> add_credit(Store& store, const Credit& credit, WallTime now);

// Writes the opposite of the transaction `ref`, once: a repetition changes nothing. kNotFound;
// kInvalidArgument for a reversal, or without a reason. The balance is that of the organisation.
Result<CreditResult> reverse_transaction(Store& store,
                                         const std::string& ref,
                                         const std::string& reason,
                                         WallTime now);

}  // namespace turnpike::controlplane
