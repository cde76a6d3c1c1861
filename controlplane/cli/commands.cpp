#include "controlplane/cli/commands.h"

#include <utility>

namespace turnpike::controlplane::cli {

Commands::Commands(CLI::App& app, Options& options, Action& chosen)
    : app_(app), options_(options), chosen_(chosen) {
    accounts();
    endpoints();
    reports();
}

CLI::App* Commands::verb(CLI::App& parent, const char* name, const char* help, Action action) {
    CLI::App* sub = parent.add_subcommand(name, help);
    sub->add_flag("--json", options_.output.is_json, "print the API's JSON");
    // A noun that is a verb too is called after its subcommand.
    sub->callback([this, action = std::move(action)] {
        if (!chosen_) chosen_ = action;
    });
    return sub;
}

CLI::App& Commands::noun(const char* name, const char* help) {
    CLI::App* sub = app_.add_subcommand(name, help);
    sub->require_subcommand(1);
    return *sub;
}

void Commands::accounts() {
    CLI::App& org = noun("org", "organisations");
    verb(org, "create", "create one",
         [](auto& admin, const Options& o) { return create_organisation(admin, o.name, o.output); })
        ->add_option("name", options_.name, "nobody else's")
        ->required();
    verb(org, "list", "list all",
         [](auto& admin, const Options& o) { return list_organisations(admin, o.output); });
    CLI::App& key = noun("key", "API keys");
    auto* create = verb(
        key, "create", "create one; it is shown once",
        [](auto& admin, const Options& o) { return create_key(admin, o.org, o.name, o.output); });
    create->add_option("--org", options_.org, "organisation, by id or name")->required();
    create->add_option("--name", options_.name, "what it is for")->required();
    verb(key, "list", "list keys", [](auto& admin, const Options& o) {
        return list_keys(admin, o.org, o.output);
    })->add_option("--org", options_.org, "organisation, by id or name");
    verb(key, "revoke", "revoke one",
         [](auto& admin, const Options& o) { return revoke_key(admin, o.id, o.output); })
        ->add_option("id", options_.id, "see `turnpike key list`")
        ->required();
    credit();
    limits();
}

void Commands::credit() {
    CLI::App& credit = noun("credit", "prepaid credit");
    const auto with_amount = [this](CLI::App* sub, const char* help, bool needs_reason) {
        sub->add_option("amount", options_.credit.amount_usd, help)->required();
        sub->add_option("--org", options_.credit.org, "organisation, by id or name")->required();
        sub->add_option("--reason,--note", options_.credit.note, "for the ledger and the audit")
            ->required(needs_reason);
        sub->add_option("--idempotency-key", options_.credit.idempotency_key,
                        "repeating it changes nothing");
    };
    const auto book = [](const char* kind) -> Action {
        return [kind](AdminClient& admin, const Options& o) {
            Credit wanted = o.credit;
            wanted.kind = kind;
            return add_credit(admin, wanted, o.output);
        };
    };
    with_amount(verb(credit, "add", "book money that came in", book("add")),
                "USD, such as 20 or 0.5", false);
    with_amount(verb(credit, "refund", "book credit that was paid back", book("refund")),
                "USD, at most the balance", true);
    with_amount(verb(credit, "adjust", "correct a balance, or give goodwill", book("adjust")),
                "USD; -0.5 takes, after `--`", true);
    auto* reverse = verb(credit, "reverse", "undo a ledger transaction by its opposite",
                         [](auto& admin, const Options& o) {
                             return reverse_transaction(admin, o.id, o.reason, o.output);
                         });
    reverse->add_option("transaction", options_.id, "such as credit:org_…:key")->required();
    reverse->add_option("--reason", options_.reason, "for the ledger and the audit")->required();
}

void Commands::limits() {
    CLI::App& limits = noun("limits", "what organisations, keys and model names may use");
    constexpr const char* kSubject = "organisation:ID_OR_NAME, key:ID or model:NAME";
    ChangedLimits& changed = options_.limits;
    auto* set =
        verb(limits, "set", "change limits; what is not named stays as it was",
             [](auto& admin, const Options& o) { return set_limits(admin, o.limits, o.output); });
    set->add_option("subject", changed.subject, kSubject)->required();
    set->add_option("--rpm,--requests_per_minute", changed.rpm, "requests per minute")
        ->type_name("N");
    set->add_option("--tpm,--tokens_per_minute", changed.tpm, "tokens per minute")->type_name("N");
    set->add_option("--concurrent,--concurrent_requests", changed.concurrent, "requests at a time")
        ->type_name("N");
    set->add_option("--monthly,--monthly_usd", changed.monthly, "a month, not of a model")
        ->type_name("USD");
    set->add_option("--clear", changed.cleared, "remove limits: rpm, tpm, concurrent, monthly")
        ->type_name("NAME")
        ->delimiter(',');
    verb(limits, "show", "limits of a subject, or of everything that has any",
         [](auto& admin, const Options& o) { return show_limits(admin, o.id, o.output); })
        ->add_option("subject", options_.id, kSubject);
}

}  // namespace turnpike::controlplane::cli
