#include "controlplane/cli/health.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>
#include <utility>

#include "config/base/clock.h"
#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/table.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;
using Parts = std::vector<PartHealth>;

constexpr auto kPollPeriod = std::chrono::milliseconds(200);
constexpr auto kGatewayTimeout = std::chrono::seconds(2);
constexpr char kControlplane[] = "control plane";

// The gateway says for itself whether it has a way to a replica.
PartHealth ask_gateway(const std::string& base_url) {
    PartHealth part{"gateway", "unknown", base_url, false};
    auto url = net::parse_url(base_url);
    if (!url) {
        part.detail = url.error().message;
        return part;
    }
    url->options.ca_file = find_variable("TURNPIKE_CA_CERT");
    url->options.timeout = kGatewayTimeout;
    net::HttpClient client(url->options);
    const auto response = client.send({"GET", "/readyz", {}, {}});
    if (!response) {
        part.state = "unreachable";
        part.detail = response.error().message;
        return part;
    }
    part.is_ready = response->status == 200;
    part.state = part.is_ready ? "ready" : "not ready";
    return part;
}

// Every endpoint that is there; one that is deleted meanwhile is not.
Result<Parts> ask_endpoints(AdminClient& admin) {
    const auto list = admin.call("GET", "/v1/endpoints");
    RETURN_IF_ERROR(list);
    Parts parts;
    for (const json& row : list->value("data", json::array())) {
        const std::string id = encode_component(cell(row, "id"));
        const auto endpoint = admin.call("GET", "/v1/endpoints/" + id);
        const auto replicas = admin.call("GET", "/admin/v1/endpoints/" + id + "/replicas");
        for (const auto* answer : {&endpoint, &replicas}) {
            if (!*answer && answer->error().code != ErrorCode::kNotFound) return answer->error();
        }
        if (endpoint && replicas) parts.push_back(assess_endpoint(*endpoint, *replicas));
    }
    return parts;
}

bool are_ready(const Parts& parts) {
    return std::all_of(parts.begin(), parts.end(), [](const auto& part) { return part.is_ready; });
}

void print(const Parts& parts, Output output) {
    if (output.is_json) {
        std::printf("%s\n", to_json(parts).dump(2).c_str());
        return;
    }
    Table table({"PART", "STATE", "DETAIL"});
    for (const PartHealth& part : parts) table.add({part.name, part.state, part.detail});
    std::fputs(table.to_text().c_str(), stdout);
}

std::string missing_of(const Parts& parts) {
    std::string names;
    for (const PartHealth& part : parts) {
        if (!part.is_ready) names += (names.empty() ? "" : ", ") + part.name;
    }
    return names;
}

}  // namespace

std::vector<PartHealth> ask_everybody(AdminClient& admin, const std::string& base_url) {
    Parts parts;
    auto endpoints = ask_endpoints(admin);
    if (endpoints) {
        parts.push_back({kControlplane, "ready", "", true});
    } else {
        const bool is_there = endpoints.error().code != ErrorCode::kUnavailable;
        parts.push_back({kControlplane, is_there ? "failing" : "unreachable",
                         endpoints.error().message, false});
    }
    if (!base_url.empty()) parts.push_back(ask_gateway(base_url));
    if (endpoints) std::move(endpoints->begin(), endpoints->end(), std::back_inserter(parts));
    return parts;
}

PartHealth assess_endpoint(const json& endpoint, const json& replicas) {
    PartHealth part{cell(endpoint, "name"), cell(endpoint, "state"), "", false};
    part.is_ready = part.state == "STARTED" || part.state == "STOPPED" || part.state == "STOPPING";
    int num_ready = 0;
    int num_kept = 0;
    for (const json& replica : replicas.value("data", json::array())) {
        const std::string state = cell(replica, "state");
        num_ready += state == "READY" ? 1 : 0;
        num_kept += state == "STOPPED" ? 0 : 1;
    }
    if (num_kept > 0)
        part.detail =
            std::to_string(num_ready) + " of " + std::to_string(num_kept) + " replicas READY";
    const std::string reason = cell(endpoint, "reason");
    if (!reason.empty()) part.detail += (part.detail.empty() ? "" : "; ") + reason;
    return part;
}

json to_json(const Parts& parts) {
    json rows = json::array();
    for (const PartHealth& part : parts)
        rows.push_back({{"name", part.name},
                        {"state", part.state},
                        {"detail", part.detail},
                        {"ready", part.is_ready}});
    return {{"ready", are_ready(parts)}, {"parts", std::move(rows)}};
}

int show_health(AdminClient& admin, std::chrono::seconds patience, Output output) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes plainly
    const SystemClock clock;
    const std::string base_url = find_variable("TURNPIKE_BASE_URL");
    const SteadyTime deadline = clock.steady_now() + patience;
    Parts parts = ask_everybody(admin, base_url);
    while (!are_ready(parts) && clock.steady_now() < deadline) {
        std::this_thread::sleep_for(kPollPeriod);
        parts = ask_everybody(admin, base_url);
    }
    print(parts, output);
    if (are_ready(parts)) return kOk;
    std::fprintf(stderr, "turnpike: not ready: %s\n", missing_of(parts).c_str());
    return parts.front().state == "unreachable" ? kUnreachable : kFailed;
}

}  // namespace turnpike::controlplane::cli
