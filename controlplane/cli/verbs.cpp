#include "controlplane/cli/verbs.h"

#include <cstdio>

#include "config/base/money.h"
#include "config/crypto/identifiers.h"
#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/table.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

// A table of the answer's "data": pairs of header and field.
Show table_of(std::vector<std::pair<std::string, const char*>> columns) {
    return [columns = std::move(columns)](const json& answer) {
        std::vector<std::string> headers;
        for (const auto& [header, field] : columns) headers.push_back(header);
        Table table(headers);
        for (const json& row : answer.value("data", json::array())) {
            std::vector<std::string> cells;
            for (const auto& [header, field] : columns) cells.push_back(cell(row, field));
            table.add(std::move(cells));
        }
        std::fputs(table.to_text().c_str(), stdout);
    };
}

std::string org_query(const std::string& org) {
    return org.empty() ? "" : "?org=" + encode_component(org);
}

std::string usd_of(const json& row, const char* field) {
    const auto entry = row.find(field);
    const bool is_amount = entry != row.end() && entry->is_number_integer();
    return is_amount ? format_usd(NanoUsd(entry->get<std::int64_t>())) : "?";
}

std::string per_million(const json& price, const char* field) {
    const auto entry = price.find(field);
    if (entry == price.end() || !entry->is_number_integer()) return "?";
    return format_usd(multiply(NanoUsd(entry->get<std::int64_t>()), 1'000'000));
}

}  // namespace

int show(const Result<json>& answer, Output output, const Show& for_people) {
    if (!answer) return report(answer.error());
    if (output.is_json) {
        std::printf("%s\n", answer->dump(2).c_str());
    } else {
        for_people(*answer);
    }
    return kOk;
}

std::string cell(const json& row, const char* name) {
    const auto entry = row.find(name);
    if (entry == row.end() || entry->is_null()) return "";
    return entry->is_string() ? entry->get<std::string>() : entry->dump();
}

std::string totals_line(const json& totals) {
    const auto sum_of = [](const json& sums) {
        const std::string num_requests = cell(sums, "num_requests");
        return num_requests + (num_requests == "1" ? " request, " : " requests, ") +
               cell(sums, "prompt_tokens") + " tokens in, " + cell(sums, "completion_tokens") +
               " out, " + cell(sums, "cost_usd") + " USD";
    };
    const json lost = totals.value("written_off", json::object());
    std::string line = "billed in all: " + sum_of(totals);
    if (lost.value("num_requests", 0) > 0) line += "; written off: " + sum_of(lost);
    return line;
}

int create_organisation(AdminClient& admin, const std::string& name, Output output) {
    return show(admin.call("POST", "/admin/v1/organisations", {{"name", name}}), output,
                [](const json& answer) { std::printf("%s\n", cell(answer, "id").c_str()); });
}

int list_organisations(AdminClient& admin, Output output) {
    return show(admin.call("GET", "/admin/v1/organisations"), output,
                table_of({{"ID", "id"},
                          {"NAME", "name"},
                          {">BALANCE USD", "balance_usd"},
                          {"CREATED", "created_at"}}));
}

int create_key(AdminClient& admin, const std::string& org, const std::string& name, Output output) {
    const json body{{"org", org}, {"name", name}};
    return show(admin.call("POST", "/admin/v1/keys", body), output, [](const json& answer) {
        std::printf("%s\n", cell(answer, "key").c_str());
        std::fprintf(stderr, "Key %s. It is shown this once.\n", cell(answer, "id").c_str());
    });
}

int list_keys(AdminClient& admin, const std::string& org, Output output) {
    return show(
        admin.call("GET", "/admin/v1/keys" + org_query(org)), output,
        table_of({{"ID", "id"}, {"NAME", "name"}, {"KEY", "redacted"}, {"REVOKED", "revoked_at"}}));
}

int revoke_key(AdminClient& admin, const std::string& id, Output output) {
    return show(admin.call("DELETE", "/admin/v1/keys/" + encode_component(id)), output,
                [&](const json&) { std::printf("%s revoked\n", id.c_str()); });
}

int add_credit(AdminClient& admin, const Credit& credit, Output output) {
    const std::string key =
        credit.idempotency_key.empty() ? crypto::new_uuid4() : credit.idempotency_key;
    const json body{{"kind", credit.kind},
                    {"org", credit.org},
                    {"amount_usd", credit.amount_usd},
                    {"note", credit.note},
                    {"idempotency_key", key}};
    return show(admin.call("POST", "/admin/v1/credit", body), output, [](const json& answer) {
        std::printf("balance %s USD\n", cell(answer, "balance_usd").c_str());
    });
}

int list_models(AdminClient& admin, Output output) {
    return show(admin.call("GET", "/admin/v1/models"), output, [](const json& answer) {
        Table table({"NAME", "SERVED BY", ">CONTEXT", ">USD/M IN", ">USD/M OUT"});
        for (const json& row : answer.value("data", json::array())) {
            const json price = row.value("price", json::object());
            table.add({cell(row, "name"), cell(row, "served_model"), cell(row, "context_length"),
                       per_million(price, "input_nano_usd"),
                       per_million(price, "output_nano_usd")});
        }
        std::fputs(table.to_text().c_str(), stdout);
    });
}

int show_usage(AdminClient& admin, const std::string& org, std::int64_t limit, Output output) {
    std::string target = "/admin/v1/usage?limit=" + std::to_string(limit);
    if (!org.empty()) target += "&org=" + encode_component(org);
    return show(admin.call("GET", target), output, [](const json& answer) {
        table_of({{"REQUEST", "request_id"},
                  {"MODEL", "model"},
                  {"OUTCOME", "outcome"},
                  {">PROMPT", "prompt_tokens"},
                  {">OUTPUT", "completion_tokens"},
                  {">USD", "cost_usd"}})(answer);
        std::printf("%s\n", totals_line(answer.value("totals", json::object())).c_str());
    });
}

int show_billing(AdminClient& admin, const std::string& org, Output output) {
    return show(
        admin.call("GET", "/admin/v1/billing" + org_query(org)), output, [](const json& answer) {
            Table table({"ORGANISATION", ">REQUESTS", ">CREDITED USD", ">CHARGED USD",
                         ">REPLICAS USD", ">BALANCE USD"});
            for (const json& row : answer.value("data", json::array())) {
                table.add({cell(row, "name"), cell(row, "num_requests"),
                           usd_of(row, "credited_nano_usd"), usd_of(row, "charged_nano_usd"),
                           usd_of(row, "minutes_nano_usd"), usd_of(row, "balance_nano_usd")});
            }
            std::fputs(table.to_text().c_str(), stdout);
            std::printf(
                "usage costs %s USD, the ledger sums to %s, %s events wait to be posted: %s\n",
                usd_of(answer, "usage_cost_nano_usd").c_str(),
                usd_of(answer, "ledger_sum_nano_usd").c_str(),
                cell(answer, "unposted_events").c_str(),
                answer.value("agrees", false) ? "usage and ledger agree"
                                              : "USAGE AND LEDGER DO NOT AGREE");
        });
}

}  // namespace turnpike::controlplane::cli
