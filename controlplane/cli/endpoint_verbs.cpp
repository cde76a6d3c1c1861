// The endpoint verbs: create, list, get, update, start, stop, restart, delete, replicas.
#include <cstdio>
#include <optional>

#include "config/crypto/identifiers.h"
#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/table.h"
#include "controlplane/cli/verbs.h"
#include "controlplane/cli/wait.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

std::string path_of(const std::string& id) {
    return "/v1/endpoints/" + encode_component(id);
}

void print_endpoint(const json& endpoint, Output output) {
    if (output.is_json) {
        std::printf("%s\n", endpoint.dump(2).c_str());
        return;
    }
    for (const char* field : {"id", "name", "model", "hardware", "state", "reason", "created_at"}) {
        const std::string text = cell(endpoint, field);
        if (!text.empty()) std::printf("%-10s  %s\n", field, text.c_str());
    }
    const json scaling = endpoint.value("autoscaling", json::object());
    const std::string replicas =
        cell(scaling, "min_replicas") + " to " + cell(scaling, "max_replicas");
    std::printf("%-10s  %s\n", "replicas", replicas.c_str());
}

// Waits if that is asked for, then prints the endpoint.
int print_when(AdminClient& admin,
               const Result<json>& endpoint,
               std::optional<WaitFor> wanted,
               Output output) {
    if (!endpoint) return report(endpoint.error());
    if (!wanted) {
        print_endpoint(*endpoint, output);
        return kOk;
    }
    const auto reached = wait_for(admin, cell(*endpoint, "id"), *wanted);
    if (!reached) return report(reached.error());
    print_endpoint(*reached, output);
    return kOk;
}

}  // namespace

int create_endpoint(AdminClient& admin, const NewEndpoint& endpoint, Output output) {
    json body{{"model", endpoint.model},
              {"hardware", endpoint.hardware},
              {"autoscaling",
               {{"min_replicas", endpoint.min_replicas}, {"max_replicas", endpoint.max_replicas}}},
              {"idempotency_key", crypto::new_uuid4()}};
    if (endpoint.inactive_timeout != 0) body["inactive_timeout"] = endpoint.inactive_timeout;
    if (endpoint.no_auto_start) body["state"] = "STOPPED";
    if (endpoint.no_speculation) body["disable_speculative_decoding"] = true;
    if (!endpoint.display_name.empty()) body["display_name"] = endpoint.display_name;
    const auto created =
        admin.call("POST", "/v1/endpoints?org=" + encode_component(endpoint.org), body);
    const WaitFor wanted = endpoint.no_auto_start ? WaitFor::kStopped : WaitFor::kStarted;
    return print_when(admin, created, endpoint.waits ? std::optional(wanted) : std::nullopt,
                      output);
}

int update_endpoint(AdminClient& admin,
                    const std::string& id,
                    const EndpointUpdate& update,
                    Output output) {
    json body = json::object();
    if (update.display_name) body["display_name"] = *update.display_name;
    if (update.inactive_timeout) body["inactive_timeout"] = *update.inactive_timeout;
    if (update.min_replicas && update.max_replicas)
        body["autoscaling"] = {{"min_replicas", *update.min_replicas},
                               {"max_replicas", *update.max_replicas}};
    if (body.empty())
        return report({ErrorCode::kInvalidArgument,
                       "nothing to change: expected --display-name, --inactive-timeout, or "
                       "--min-replicas with --max-replicas",
                       {}});
    const auto endpoint = admin.call("PATCH", path_of(id), body);
    if (!endpoint) return report(endpoint.error());
    print_endpoint(*endpoint, output);
    return kOk;
}

int list_endpoints(AdminClient& admin, const std::string& org, Output output) {
    const auto answer =
        admin.call("GET", "/v1/endpoints" + (org.empty() ? "" : "?org=" + encode_component(org)));
    if (!answer) return report(answer.error());
    if (output.is_json) {
        std::printf("%s\n", answer->dump(2).c_str());
        return kOk;
    }
    Table table({"ID", "TYPE", "STATE", "NAME"});
    for (const json& row : answer->value("data", json::array())) {
        table.add({cell(row, "id"), cell(row, "type"), cell(row, "state"), cell(row, "name")});
    }
    std::fputs(table.to_text().c_str(), stdout);
    return kOk;
}

int get_endpoint(AdminClient& admin, const std::string& id, Output output) {
    const auto endpoint = admin.call("GET", path_of(id));
    if (!endpoint) return report(endpoint.error());
    print_endpoint(*endpoint, output);
    return kOk;
}

int set_endpoint_state(AdminClient& admin,
                       const std::string& id,
                       const std::string& state,
                       bool waits,
                       Output output) {
    const auto endpoint = admin.call("PATCH", path_of(id), {{"state", state}});
    const WaitFor wanted = state == "STARTED" ? WaitFor::kStarted : WaitFor::kStopped;
    return print_when(admin, endpoint, waits ? std::optional(wanted) : std::nullopt, output);
}

int restart_endpoint(AdminClient& admin, const std::string& id, bool waits, Output output) {
    const auto endpoint =
        admin.call("POST", "/admin/v1/endpoints/" + encode_component(id) + "/restart");
    return print_when(admin, endpoint, waits ? std::optional(WaitFor::kRolledOut) : std::nullopt,
                      output);
}

int list_replicas(AdminClient& admin, const std::string& id, Output output) {
    const auto answer =
        admin.call("GET", "/admin/v1/endpoints/" + encode_component(id) + "/replicas");
    return show(answer, output, [](const json& replicas) {
        Table table({"REPLICA", "STATE", ">GENERATION", ">EPOCH", ">PID", "SINCE", "REASON"});
        for (const json& row : replicas.value("data", json::array()))
            table.add({cell(row, "id"), cell(row, "state"), cell(row, "generation"),
                       cell(row, "epoch"), cell(row, "pid"), cell(row, "state_since"),
                       cell(row, "reason")});
        std::fputs(table.to_text().c_str(), stdout);
    });
}

int delete_endpoint(AdminClient& admin, const std::string& id) {
    const auto answer = admin.call("DELETE", path_of(id));
    if (!answer) return report(answer.error());
    std::printf("%s deleted\n", id.c_str());
    return kOk;
}

}  // namespace turnpike::controlplane::cli
