#include "controlplane/cli/billing_verbs.h"

#include <cstdio>
#include <vector>

#include "config/base/money.h"
#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/table.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

void print(const Table& table) {
    std::fputs(table.to_text().c_str(), stdout);
}

json rows_of(const json& answer, const char* name) {
    return answer.value(name, json::array());
}

std::string tokens_of(const json& usage) {
    return cell(usage, "prompt_tokens") + " in (" + cell(usage, "cached_tokens") + " cached), " +
           cell(usage, "completion_tokens") + " out";
}

void print_invoice(const json& answer) {
    Table table({"MODEL", ">VERSION", ">REQUESTS", ">INPUT", ">CACHED", ">OUTPUT", ">USD"});
    for (const json& line : rows_of(answer, "lines")) {
        table.add({cell(line, "model"), cell(line, "price_version"), cell(line, "num_requests"),
                   cell(line, "input_usd"), cell(line, "cached_input_usd"),
                   cell(line, "output_usd"), cell(line, "total_usd")});
    }
    print(table);
    const json minutes = rows_of(answer, "minutes");
    if (!minutes.empty()) {
        Table replicas({"ENDPOINT", ">VERSION", ">REPLICA MINUTES", ">USD"});
        for (const json& line : minutes)
            replicas.add({cell(line, "endpoint"), cell(line, "price_version"),
                          cell(line, "replica_minutes"), cell(line, "total_usd")});
        print(replicas);
    }
    const json lost = answer.value("written_off", json::object());
    const auto cents = answer.value("due_cents", std::int64_t{0});
    std::printf("%s %s: %s USD, due %s USD%s; written off: %s requests of %s USD\n",
                cell(answer, "name").c_str(), cell(answer, "month").c_str(),
                cell(answer, "total_usd").c_str(),
                format_usd(multiply(NanoUsd(10'000'000), cents)).c_str(),
                answer.value("final", false) ? "" : " (the month is not over)",
                cell(lost, "num_requests").c_str(), cell(lost, "total_usd").c_str());
}

void print_engines(const json& engines) {
    Table table({"REPLICA", ">OPEN", "ENGINE", "BILLED", "WRITTEN OFF", "FITS"});
    for (const json& row : rows_of(engines, "asked")) {
        const std::string fits = row.value("busy", false)   ? "requests are open"
                                 : row.value("fits", false) ? "yes"
                                                            : "NO";
        table.add({cell(row, "replica"), cell(row, "open"),
                   tokens_of(row.value("engine", json::object())),
                   tokens_of(row.value("billed", json::object())),
                   tokens_of(row.value("written_off", json::object())), fits});
    }
    print(table);
    for (const json& id : rows_of(engines, "unasked")) {
        std::printf("not asked, because it does not run: %s\n", id.get<std::string>().c_str());
    }
}

void print_reconciliation(const json& answer) {
    print_engines(answer.value("engines", json::object()));
    const json usage = answer.value("usage", json::object());
    const json ledger = answer.value("ledger", json::object());
    std::printf(
        "usage: %s events (%s billed, %s written off) cost %s USD; %s wait to be posted; "
        "%s in quarantine\n",
        cell(usage, "events").c_str(), cell(usage, "billed").c_str(),
        cell(usage, "written_off").c_str(), cell(usage, "cost_usd").c_str(),
        cell(usage, "unposted").c_str(), cell(usage, "quarantined").c_str());
    std::printf("ledger: %s usage transactions charge %s USD; %s links, head %s\n",
                cell(ledger, "transactions").c_str(), cell(ledger, "charged_usd").c_str(),
                cell(ledger, "links").c_str(), cell(ledger, "head").c_str());
    for (const json& misfit : rows_of(answer, "misfits")) {
        std::printf("MISFIT (%s): %s\n", cell(misfit, "check").c_str(),
                    cell(misfit, "what").c_str());
    }
    if (answer.value("agrees", false)) std::printf("engines, usage and ledger agree\n");
}

}  // namespace

int list_prices(AdminClient& admin, const std::string& name, Output output) {
    const std::string query = name.empty() ? "" : "?name=" + encode_component(name);
    return show(admin.call("GET", "/admin/v1/prices" + query), output, [](const json& answer) {
        Table table(
            {"NAME", ">VERSION", "FROM", "SET BY", ">USD/M IN", ">CACHED IN", ">OUT", ">USD/MIN"});
        for (const json& row : rows_of(answer, "data")) {
            table.add({cell(row, "name"), cell(row, "version"), cell(row, "from"),
                       cell(row, "source"), cell(row, "input_usd_per_mtok"),
                       cell(row, "cached_input_usd_per_mtok"), cell(row, "output_usd_per_mtok"),
                       cell(row, "per_minute_usd")});
        }
        print(table);
    });
}

int set_price(AdminClient& admin, const NewPrice& price, Output output) {
    json body{{"name", price.name},
              {"input_usd_per_mtok", price.input},
              {"output_usd_per_mtok", price.output}};
    if (!price.cached_input.empty()) body["cached_input_usd_per_mtok"] = price.cached_input;
    if (!price.per_minute.empty()) body["per_minute_usd"] = price.per_minute;
    if (!price.from.empty()) body["from"] = price.from;
    return show(admin.call("POST", "/admin/v1/prices", body), output, [](const json& answer) {
        std::printf("price version %s of %s holds from %s\n", cell(answer, "version").c_str(),
                    cell(answer, "name").c_str(), cell(answer, "from").c_str());
    });
}

int reverse_transaction(AdminClient& admin,
                        const std::string& transaction,
                        const std::string& reason,
                        Output output) {
    const json body{{"transaction", transaction}, {"reason", reason}};
    return show(admin.call("POST", "/admin/v1/reversals", body), output, [](const json& answer) {
        std::printf("%s, balance %s USD\n", cell(answer, "transaction").c_str(),
                    cell(answer, "balance_usd").c_str());
    });
}

int verify_ledger(AdminClient& admin, Output output) {
    const auto answer = admin.call("GET", "/admin/v1/chain");
    const int code = show(answer, output, [](const json& chain) {
        std::printf("%s transactions fit the chain, head %s\n", cell(chain, "links").c_str(),
                    cell(chain, "head").c_str());
        if (!chain.value("whole", false))
            std::printf("THE CHAIN IS BROKEN: %s\n", cell(chain, "fault").c_str());
    });
    return code == kOk && !answer->value("whole", false) ? kFailed : code;
}

int reconcile(AdminClient& admin, Output output) {
    const auto answer = admin.call("GET", "/admin/v1/reconcile");
    const int code = show(answer, output, print_reconciliation);
    return code == kOk && !answer->value("agrees", false) ? kFailed : code;
}

int show_invoice(AdminClient& admin,
                 const std::string& org,
                 const std::string& month,
                 bool is_csv,
                 Output output) {
    const std::string query = "?org=" + encode_component(org) + "&month=" + encode_component(month);
    return show(admin.call("GET", "/admin/v1/invoice" + query), output, [&](const json& answer) {
        if (is_csv) {
            std::fputs(cell(answer, "csv").c_str(), stdout);
        } else {
            print_invoice(answer);
        }
    });
}

int export_usage(AdminClient& admin, const std::string& org, const std::string& month) {
    std::string after = "0";
    for (bool is_first = true; !after.empty(); is_first = false) {
        const auto page =
            admin.call("GET", "/admin/v1/usage/export?org=" + encode_component(org) +
                                  "&month=" + encode_component(month) + "&after=" + after);
        if (!page) return report(page.error());
        if (is_first) std::fputs(cell(*page, "header").c_str(), stdout);
        std::fputs(cell(*page, "csv").c_str(), stdout);
        after = cell(*page, "next_after");
    }
    return kOk;
}

int show_days(AdminClient& admin, const std::string& org, Output output) {
    const std::string query = org.empty() ? "" : "?org=" + encode_component(org);
    return show(admin.call("GET", "/admin/v1/rollups" + query), output, [](const json& answer) {
        Table table({"DAY", "ORGANISATION", "MODEL", "BILLED", ">REQUESTS", ">INPUT", ">CACHED",
                     ">OUTPUT", ">USD"});
        for (const json& row : rows_of(answer, "data")) {
            table.add({cell(row, "day"), cell(row, "org"), cell(row, "model"),
                       row.value("billed", false) ? "yes" : "no", cell(row, "num_requests"),
                       cell(row, "prompt_tokens"), cell(row, "cached_tokens"),
                       cell(row, "completion_tokens"), cell(row, "cost_usd")});
        }
        print(table);
    });
}

int list_quarantine(AdminClient& admin, Output output) {
    return show(admin.call("GET", "/admin/v1/quarantine"), output, [](const json& answer) {
        Table table({"REQUEST", "ORGANISATION", ">PROMPT", ">OUTPUT", "RECEIVED", "REASON"});
        for (const json& row : rows_of(answer, "data")) {
            table.add({cell(row, "request_id"), cell(row, "org"), cell(row, "prompt_tokens"),
                       cell(row, "completion_tokens"), cell(row, "received_at"),
                       cell(row, "reason")});
        }
        print(table);
    });
}

int release_record(AdminClient& admin,
                   const std::string& id,
                   const std::string& price_version,
                   Output output) {
    json body = json::object();
    if (!price_version.empty()) body["price_version"] = std::stoll(price_version);
    const std::string target = "/admin/v1/quarantine/" + encode_component(id) + "/release";
    return show(admin.call("POST", target, body), output,
                [&](const json&) { std::printf("%s released\n", id.c_str()); });
}

}  // namespace turnpike::controlplane::cli
