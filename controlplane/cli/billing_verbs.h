// Verbs on prices, bills and the ledger. Each prints a table, or the API's own JSON with `is_json`,
// and returns an exit code.
#pragma once

#include <string>

#include "controlplane/cli/admin_client.h"
#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

int list_prices(AdminClient& admin, const std::string& name, Output output);

struct NewPrice {
    std::string name;
    std::string input;         // USD per million tokens
    std::string cached_input;  // empty: as input
    std::string output;
    std::string per_minute;  // USD; empty: none
    std::string from;        // empty: now
};

int set_price(AdminClient& admin, const NewPrice& price, Output output);

// Writes the opposite of a ledger transaction.
int reverse_transaction(AdminClient& admin,
                        const std::string& transaction,
                        const std::string& reason,
                        Output output);

// kFailed when the ledger's chain is broken.
int verify_ledger(AdminClient& admin, Output output);

// kFailed when something does not fit.
int reconcile(AdminClient& admin, Output output);

int show_invoice(AdminClient& admin,
                 const std::string& org,
                 const std::string& month,
                 bool is_csv,
                 Output output);

// Every request of an organisation in a month, as CSV.
int export_usage(AdminClient& admin, const std::string& org, const std::string& month);

// Sums per UTC day and model; `org` empty: of everybody.
int show_days(AdminClient& admin, const std::string& org, Output output);

int list_quarantine(AdminClient& admin, Output output);

// `price_version` empty: the one that the record names.
int release_record(AdminClient& admin,
                   const std::string& id,
                   const std::string& price_version,
                   Output output);

}  // namespace turnpike::controlplane::cli
