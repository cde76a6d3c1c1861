// turnpike: the operator's command. Verbs that it does not know are run as turnpike-<verb>.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>

#include "controlplane/cli/billing_verbs.h"
#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/health.h"
#include "controlplane/cli/limits_verbs.h"
#include "controlplane/cli/supervisor.h"
#include "controlplane/cli/verbs.h"

namespace {

using namespace turnpike::controlplane::cli;

// The folder of this binary, where its siblings are.
std::string binary_dir() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
}

struct Options {
    std::string admin;
    std::string org;
    std::string name;
    std::string id;
    std::string dir = ".turnpike";
    Credit credit;
    NewPrice price;
    LimitsChange limits;
    std::string reason;
    std::string month;
    std::int64_t price_version = 0;
    bool is_csv = false;
    NewEndpoint endpoint;
    std::int64_t limit = 20;
    int wait_s = 0;
    bool waits = false;
    Output output;
};

using Action = std::function<int(AdminClient&, const Options&)>;

// Declares every verb; the one that was given leaves its action in `chosen`.
class Verbs {
  public:
    Verbs(CLI::App& app, Options& options, Action& chosen)
        : app_(app), options_(options), chosen_(chosen) {
        accounts();
        endpoints();
        reports();
    }

  private:
    CLI::App* verb(CLI::App& parent, const char* name, const char* help, Action action) {
        CLI::App* sub = parent.add_subcommand(name, help);
        sub->add_flag("--json", options_.output.is_json, "print the API's JSON");
        // A noun that is a verb too is called after its subcommand.
        sub->callback([this, action = std::move(action)] {
            if (!chosen_) chosen_ = action;
        });
        return sub;
    }

    CLI::App& noun(const char* name, const char* help) {
        CLI::App* sub = app_.add_subcommand(name, help);
        sub->require_subcommand(1);
        return *sub;
    }

    void accounts() {
        CLI::App& org = noun("org", "organisations");
        verb(org, "create", "create one",
             [](auto& admin, const Options& o) {
                 return create_organisation(admin, o.name, o.output);
             })
            ->add_option("name", options_.name, "nobody else's")
            ->required();
        verb(org, "list", "list all",
             [](auto& admin, const Options& o) { return list_organisations(admin, o.output); });
        CLI::App& key = noun("key", "API keys");
        auto* create =
            verb(key, "create", "create one; it is shown once", [](auto& admin, const Options& o) {
                return create_key(admin, o.org, o.name, o.output);
            });
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

    void credit() {
        CLI::App& credit = noun("credit", "prepaid credit");
        const auto with_amount = [this](CLI::App* sub, const char* help, bool needs_reason) {
            sub->add_option("amount", options_.credit.amount_usd, help)->required();
            sub->add_option("--org", options_.credit.org, "organisation, by id or name")
                ->required();
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
        reverse->add_option("--reason", options_.reason, "for the ledger and the audit")
            ->required();
    }

    void limits() {
        CLI::App& limits = noun("limits", "rate limits and monthly allowances");
        LimitsChange& change = options_.limits;
        constexpr const char* kSubject = "organisation:ID_OR_NAME, key:ID or model:NAME";
        verb(limits, "show", "show them", [](auto& admin, const Options& o) {
            return show_limits(admin, o.limits.subject, o.output);
        })->add_option("subject", change.subject, kSubject);
        auto* set = verb(
            limits, "set", "change some; the others stay as they are",
            [](auto& admin, const Options& o) { return change_limits(admin, o.limits, o.output); });
        set->add_option("subject", change.subject, kSubject)->required();
        set->add_option("--rpm", change.requests_per_minute, "requests per minute");
        set->add_option("--tpm", change.tokens_per_minute, "tokens per minute");
        set->add_option("--concurrent", change.concurrent_requests, "requests at a time");
        set->add_option("--monthly", change.monthly_usd, "USD per calendar month, UTC");
        set->add_option("--clear", change.cleared, "no such limit: rpm, tpm, concurrent, monthly")
            ->check(CLI::IsMember(kLimitNames));
    }

    void endpoints() {
        CLI::App& noun_app = noun("endpoints", "dedicated endpoints");
        auto* create =
            verb(noun_app, "create", "create and start one", [](auto& admin, const Options& o) {
                NewEndpoint endpoint = o.endpoint;
                endpoint.waits = o.waits;
                return create_endpoint(admin, endpoint, o.output);
            });
        options_.endpoint.org = "demo";
        create
            ->add_option("--model", options_.endpoint.model,
                         "a model card's id: SERVED BY in `turnpike models`")
            ->required();
        create->add_option("--hardware", options_.endpoint.hardware, "see `turnpike hardware`")
            ->required();
        create->add_option("--min-replicas", options_.endpoint.min_replicas, "always kept (1)")
            ->type_name("N");
        create->add_option("--max-replicas", options_.endpoint.max_replicas, "never more (1)")
            ->type_name("N");
        create->add_option("--display-name", options_.endpoint.display_name,
                           "for people (that of the model)");
        create->add_flag("--no-speculation", options_.endpoint.no_speculation,
                         "its replicas draft nothing, whatever is set for the model");
        create->add_option("--org", options_.endpoint.org, "owner, by id or name (demo)");
        create->add_flag("--wait,!--no-wait", options_.waits,
                         "return once it is STARTED; 1 on ERROR");
        verb(noun_app, "list", "list them", [](auto& admin, const Options& o) {
            return list_endpoints(admin, o.org, o.output);
        })->add_option("--org", options_.org, "owner, by id or name");
        const auto with_id = [this](CLI::App* sub) {
            sub->add_option("id", options_.id, "see `turnpike endpoints list`")->required();
            return sub;
        };
        with_id(verb(noun_app, "get", "show one", [](auto& admin, const Options& o) {
            return get_endpoint(admin, o.id, o.output);
        }));
        with_id(verb(noun_app, "start", "start one", [](auto& admin, const Options& o) {
            return set_endpoint_state(admin, o.id, "STARTED", o.waits, o.output);
        }))->add_flag("--wait,!--no-wait", options_.waits, "return once it is STARTED");
        with_id(verb(noun_app, "stop", "stop one", [](auto& admin, const Options& o) {
            return set_endpoint_state(admin, o.id, "STOPPED", o.waits, o.output);
        }))->add_flag("--wait,!--no-wait", options_.waits, "return once it is STOPPED");
        with_id(verb(noun_app, "delete", "delete one",
                     [](auto& admin, const Options& o) { return delete_endpoint(admin, o.id); }));
    }

    void reports() {
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
        verb(app_, "hardware", "the hardware catalogue",
             [](auto& admin, const Options& o) { return list_hardware(admin, o.output); });
        verb(app_, "models", "model names and prices",
             [](auto& admin, const Options& o) { return list_models(admin, o.output); });
        auto* usage = verb(app_, "usage", "requests, newest first, and their cost",
                           [](auto& admin, const Options& o) {
                               return show_usage(admin, o.org, o.limit, o.output);
                           });
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
        billing();
        prices();
    }

    CLI::App* with_month(CLI::App* sub) {
        sub->add_option("--org", options_.org, "organisation, by id or name")->required();
        sub->add_option("--month", options_.month, "such as 2026-11 (UTC)")->required();
        return sub;
    }

    void prices() {
        CLI::App& prices = noun("prices", "price versions of model names");
        verb(prices, "list", "list them; the last before now holds",
             [](auto& admin, const Options& o) { return list_prices(admin, o.name, o.output); })
            ->add_option("--name", options_.name, "of one model name");
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

    void billing() {
        auto* billing = verb(
            app_, "billing", "balances, and whether usage and ledger agree",
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
        release->add_option("request", options_.id, "see `turnpike billing quarantine`")
            ->required();
        release->add_option("--price-version", options_.price_version,
                            "price it by this one: see `turnpike prices list`");
        verb(*billing, "verify", "compute the ledger's hash chain again; 1 when it is broken",
             [](auto& admin, const Options& o) { return verify_ledger(admin, o.output); });
    }

    CLI::App& app_;
    Options& options_;
    Action& chosen_;
};

bool knows(const CLI::App& app, const std::string& verb) {
    for (const CLI::App* known : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (known->get_name() == verb) return true;
    }
    return false;
}

int fail_usage(const std::string& message) {
    std::fprintf(stderr, "turnpike: %s\nRun with --help for more information.\n", message.c_str());
    return kUsage;
}

// Becomes turnpike-<verb> from beside this binary; returns an exit code when there is none.
int run_sibling(char** argv) {
    const std::string sibling = binary_dir() + "/turnpike-" + argv[1];
    ::execv(sibling.c_str(), argv + 1);
    if (errno != ENOENT) return fail_usage(turnpike::errno_error("cannot run " + sibling).message);
    return fail_usage("no verb '" + std::string(argv[1]) + "', and no program " + sibling);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Operates a Turnpike service, and talks to it.", "turnpike");
    app.require_subcommand(1);
    app.footer(
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the control plane cannot be reached, 4 not "
        "found.");
    Options options;
    Action chosen;
    app.add_option("--admin", options.admin,
                   "the control plane's admin socket, unix:PATH (TURNPIKE_ADMIN)");
    CLI::App* up =
        app.add_subcommand("up", "run the control plane and the gateway of a state directory");
    up->add_option("--dir", options.dir, "state directory (.turnpike)");
    const Verbs verbs(app, options, chosen);
    if (argc > 1 && argv[1][0] != '-' && !knows(app, argv[1])) return run_sibling(argv);
    // For --help alone: it is a program of its own, found as above.
    app.add_subcommand("chat", "talk to a model through the public API");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        const int status = app.exit(problem);
        return status == 0 ? kOk : kUsage;
    }
    if (up->parsed())
        return run_supervisor(std::filesystem::absolute(options.dir).string(), binary_dir());
    if (!chosen) return fail_usage("chat comes first: turnpike chat …, without --admin");
    const auto address = find_admin_address(options.admin);
    if (!address) return report(address.error());
    AdminClient admin(*address);
    return chosen(admin, options);
}
