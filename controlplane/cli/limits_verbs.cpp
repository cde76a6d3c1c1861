#include "controlplane/cli/limits_verbs.h"

#include <cstdio>
#include <utility>

#include "config/base/money.h"
#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/table.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

constexpr char kMonthly[] = "monthly_nano_usd";

// In the order of kLimitNames.
constexpr const char* kFields[] = {"requests_per_minute", "tokens_per_minute",
                                   "concurrent_requests", kMonthly};

std::string path_of(const std::string& subject) {
    return "/admin/v1/limits" + (subject.empty() ? "" : "?subject=" + encode_component(subject));
}

std::string monthly_text(const json& row) {
    const auto amount = row.find(kMonthly);
    if (amount == row.end() || !amount->is_number_integer()) return "";
    return format_usd(NanoUsd(amount->get<std::int64_t>()));
}

void print_rows(const json& rows) {
    Table table({"SUBJECT", ">REQUESTS/MIN", ">TOKENS/MIN", ">AT A TIME", ">USD/MONTH"});
    for (const json& row : rows) {
        table.add({cell(row, "subject"), cell(row, kFields[0]), cell(row, kFields[1]),
                   cell(row, kFields[2]), monthly_text(row)});
    }
    std::fputs(table.to_text().c_str(), stdout);
}

int print(const json& answer, Output output) {
    if (output.is_json) {
        std::printf("%s\n", answer.dump(2).c_str());
    } else {
        print_rows(answer.contains("data") ? answer["data"] : json::array({answer}));
    }
    return kOk;
}

// `limits` with the change made. kInvalidArgument: an amount that is none.
Result<json> changed(json limits, const LimitsChange& change) {
    const auto put = [&limits](const char* field, const std::optional<std::int64_t>& value) {
        if (value) limits[field] = *value;
    };
    put(kFields[0], change.requests_per_minute);
    put(kFields[1], change.tokens_per_minute);
    put(kFields[2], change.concurrent_requests);
    if (!change.monthly_usd.empty()) {
        const auto amount = parse_usd(change.monthly_usd);
        RETURN_IF_ERROR(amount);
        limits[kMonthly] = amount->value();
    }
    for (std::size_t i = 0; i < kLimitNames.size(); ++i) {
        for (const std::string& name : change.cleared) {
            if (name == kLimitNames[i]) limits[kFields[i]] = nullptr;
        }
    }
    limits.erase("subject");
    return limits;
}

}  // namespace

int show_limits(AdminClient& admin, const std::string& subject, Output output) {
    const auto answer = admin.call("GET", path_of(subject));
    if (!answer) return report(answer.error());
    return print(*answer, output);
}

int change_limits(AdminClient& admin, const LimitsChange& change, Output output) {
    const bool is_empty = !change.requests_per_minute && !change.tokens_per_minute &&
                          !change.concurrent_requests && change.monthly_usd.empty() &&
                          change.cleared.empty();
    if (is_empty) {
        std::fprintf(stderr,
                     "turnpike: expected one of --rpm, --tpm, --concurrent, --monthly and --clear, "
                     "found none\n");
        return kUsage;
    }
    const auto before = admin.call("GET", path_of(change.subject));
    if (!before) return report(before.error());
    const auto limits = changed(*before, change);
    if (!limits) return report(limits.error());
    const auto answer = admin.call("PUT", path_of(change.subject), *limits);
    if (!answer) return report(answer.error());
    return print(*answer, output);
}

}  // namespace turnpike::controlplane::cli
