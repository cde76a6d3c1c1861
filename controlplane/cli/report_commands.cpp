// The verbs that show what is there and what it cost.
#include <chrono>

#include "controlplane/cli/commands.h"
#include "controlplane/cli/health.h"

namespace turnpike::controlplane::cli {

void Commands::reports() {
    auto* health = verb(app_, "health", "whether everything that is wanted serves",
                        [](auto& admin, const Options& o) {
                            const std::chrono::seconds patience(o.wait_s);
                            return show_health(admin, patience, o.output);
                        });
    health->add_option("--wait", options_.wait_s, "wait so many seconds for it (0)")
        ->type_name("SECONDS")
        ->check(CLI::Range(0, 86'400));
    health->footer(
        "The gateway asked is that of TURNPIKE_BASE_URL, from the environment or "
        ".turnpike/env; without it, none is.\n" +
        app_.get_footer());
    with_hardware_filter(
        verb(app_, "hardware", "the hardware catalogue", [](auto& admin, const Options& o) {
            return list_hardware(admin, o.hardware_filter, o.output);
        }));
    verb(app_, "models", "model names and prices",
         [](auto& admin, const Options& o) { return list_models(admin, o.output); });
    usage();
    billing();
    prices();
    audit();
    backup();
}

void Commands::usage() {
    auto* usage = verb(
        app_, "usage", "requests, newest first, and their cost",
        [](auto& admin, const Options& o) { return show_usage(admin, o.org, o.limit, o.output); });
    usage->require_subcommand(0, 1);
    auto* exported =
        verb(*usage, "export", "every request of a month, as CSV",
             [](auto& admin, const Options& o) { return export_usage(admin, o.org, o.month); });
    with_month(exported);
    verb(*usage, "days", "sums per UTC day and model", [](auto& admin, const Options& o) {
        return show_days(admin, o.org, o.output);
    })->add_option("--org", options_.org, "organisation, by id or name");
    usage->add_option("--org", options_.org, "organisation, by id or name");
    usage->add_option("--limit", options_.limit, "rows, at most 1000 (20)")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
}

CLI::App* Commands::with_month(CLI::App* sub) {
    sub->add_option("--org", options_.org, "organisation, by id or name")->required();
    sub->add_option("--month", options_.month, "such as 2026-11 (UTC)")->required();
    return sub;
}

void Commands::prices() {
    CLI::App& prices = noun("prices", "price versions of model names");
    verb(prices, "list", "list them; the last before now holds", [](auto& admin, const Options& o) {
        return list_prices(admin, o.name, o.output);
    })->add_option("--name", options_.name, "of one model name");
    auto* set =
        verb(prices, "set", "a new version from a date on; what has passed keeps its price",
             [](auto& admin, const Options& o) { return set_price(admin, o.price, o.output); });
    NewPrice& price = options_.price;
    set->add_option("name", price.name, "see `turnpike models`")->required();
    set->add_option("--input", price.input, "USD per million tokens")->required();
    set->add_option("--output", price.output, "USD per million tokens")->required();
    set->add_option("--cached-input", price.cached_input,
                    "USD per million tokens found in the prefix cache (as --input)");
    set->add_option("--per-minute", price.per_minute, "USD per replica's minute (0)");
    set->add_option("--from", price.from, "2026-12-01 or 2026-12-01T06:30:00Z, UTC (now)");
}

void Commands::billing() {
    auto* billing =
        verb(app_, "billing", "balances, and whether usage and ledger agree",
             [](auto& admin, const Options& o) { return show_billing(admin, o.org, o.output); });
    billing->add_option("--org", options_.org, "organisation, by id or name");
    billing->require_subcommand(0, 1);
    auto* invoice =
        verb(*billing, "invoice", "the invoice of a month", [](auto& admin, const Options& o) {
            return show_invoice(admin, o.org, o.month, o.is_csv, o.output);
        });
    with_month(invoice)->add_flag("--csv", options_.is_csv, "print CSV");
    verb(*billing, "reconcile",
         "prove engines = usage = ledger; 1 and the first row that does not fit",
         [](auto& admin, const Options& o) { return reconcile(admin, o.output); });
    verb(*billing, "quarantine", "usage records that cannot be priced",
         [](auto& admin, const Options& o) { return list_quarantine(admin, o.output); });
    auto* release = verb(*billing, "release", "deliver a record in quarantine again",
                         [](auto& admin, const Options& o) {
                             const std::string version =
                                 o.price_version > 0 ? std::to_string(o.price_version) : "";
                             return release_record(admin, o.id, version, o.output);
                         });
    release->add_option("request", options_.id, "see `turnpike billing quarantine`")->required();
    release->add_option("--price-version", options_.price_version,
                        "price it by this one: see `turnpike prices list`");
    verb(*billing, "verify", "compute the ledger's hash chain again; 1 when it is broken",
         [](auto& admin, const Options& o) { return verify_ledger(admin, o.output); });
}

void Commands::audit() {
    CLI::App& audit = noun("audit", "who changed what and when");
    auto* list = verb(audit, "list", "rows, newest first", [](auto& admin, const Options& o) {
        return list_audit(admin, o.since, o.limit, o.output);
    });
    list->add_option("--since", options_.since, "2026-12-01 or 2026-12-01T06:30:00Z, UTC");
    list->add_option("--limit", options_.limit, "rows, at most 1000 (20)")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
    verb(audit, "verify", "compute the audit's hash chain again; 1 when it is broken",
         [](auto& admin, const Options& o) { return verify_audit(admin, o.output); });
}

void Commands::backup() {
    CLI::App& backup = noun("backup", "copies of the control plane's databases");
    verb(backup, "create", "make one while the control plane serves",
         [](auto&, const Options& o) { return create_backup(o.admin, o.to, o.output); })
        ->add_option("--to", options_.to, "a directory to make, on the control plane's host")
        ->required();
    auto* verify = backup.add_subcommand("verify", "whether one can be restored; 1 when not");
    verify->add_option("dir", options_.to, "as it was made")->required();
    verify->callback([this] {
        options_.program = {"turnpike-controlplane", "--verify-backup", options_.to};
    });
}

}  // namespace turnpike::controlplane::cli
