// The endpoint verbs: create, list, get, update, start, stop, restart, delete, replicas.
#include <cstdio>
#include <optional>
#include <vector>

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

Result<std::string> find_hardware(const json& rows, const std::string& gpu, int count) {
    std::vector<std::string> fitting;
    std::string all;
    for (const json& row : rows) {
        const std::string id = cell(row, "id");
        all += (all.empty() ? "" : ", ") + id;
        const json specs = row.value("specs", json::object());
        const std::string type = cell(specs, "gpu_type");
        const bool is_type = type == gpu || type.starts_with(gpu + "-");
        if (is_type && specs.value("gpu_count", 0) == count) fitting.push_back(id);
    }
    if (fitting.size() == 1) return fitting.front();
    const std::string wanted = std::to_string(count) + " of " + gpu;
    if (fitting.empty())
        return Error{ErrorCode::kNotFound, "no hardware has " + wanted + "; there is: " + all, {}};
    return invalid_argument("several kinds of hardware have " + wanted +
                            "; choose with --hardware: " + all);
}

int create_endpoint(AdminClient& admin, const NewEndpoint& endpoint, Output output) {
    std::string hardware = endpoint.hardware;
    if (!endpoint.gpu.empty()) {
        const auto rows = admin.call("GET", "/v1/hardware");
        if (!rows) return report(rows.error());
        const auto found =
            find_hardware(rows->value("data", json::array()), endpoint.gpu, endpoint.gpu_count);
        if (!found) return report(found.error());
        hardware = *found;
    }
    if (hardware.empty())
        return report({ErrorCode::kInvalidArgument, "--hardware or --gpu is required", {}});
    json body{{"model", endpoint.model},
              {"hardware", hardware},
              {"autoscaling",
               {{"min_replicas", endpoint.min_replicas}, {"max_replicas", endpoint.max_replicas}}},
              {"idempotency_key", crypto::new_uuid4()}};
    if (endpoint.inactive_timeout != 0) body["inactive_timeout"] = endpoint.inactive_timeout;
    if (endpoint.no_auto_start) body["state"] = "STOPPED";
    if (endpoint.no_speculation) body["disable_speculative_decoding"] = true;
    if (!endpoint.display_name.empty()) body["display_name"] = endpoint.display_name;
    if (!endpoint.zone.empty()) body["availability_zone"] = endpoint.zone;
    const auto created =
        admin.call("POST", "/v1/endpoints?org=" + encode_component(endpoint.org), body);
    // What to choose from stands beside the refusal.
    if (!created && created.error().param == "hardware")
        list_hardware(admin, {}, Output{.is_json = false});
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

int list_endpoints(AdminClient& admin, const EndpointFilter& filter, Output output) {
    std::string query;
    const auto add = [&](const char* name, const std::string& value) {
        if (value.empty()) return;
        query += (query.empty() ? "?" : "&") + std::string(name) + "=" + encode_component(value);
    };
    add("org", filter.org);
    add("type", filter.type);
    add("usage_type", filter.usage_type);
    add("mine", filter.is_mine ? "true" : "");
    return show(admin.call("GET", "/v1/endpoints" + query), output, [](const json& answer) {
        Table table({"ID", "TYPE", "STATE", "NAME"});
        for (const json& row : answer.value("data", json::array()))
            table.add({cell(row, "id"), cell(row, "type"), cell(row, "state"), cell(row, "name")});
        std::fputs(table.to_text().c_str(), stdout);
    });
}

int list_hardware(AdminClient& admin, const HardwareFilter& filter, Output output) {
    const bool shows_room = !filter.model.empty();
    const std::string query = shows_room ? "?model=" + encode_component(filter.model) : "";
    auto answer = admin.call("GET", "/v1/hardware" + query);
    if (answer && filter.is_available) {
        json kept = json::array();
        for (const json& row : answer->value("data", json::array())) {
            if (cell(row.value("availability", json::object()), "status") == "available")
                kept.push_back(row);
        }
        (*answer)["data"] = kept;
    }
    return show(answer, output, [&](const json& shown) {
        std::vector<std::string> headers{"ID", "GPU", ">COUNT", ">CENTS/MIN"};
        if (shows_room) headers.emplace_back("AVAILABILITY");
        Table table(headers);
        for (const json& row : shown.value("data", json::array())) {
            const json specs = row.value("specs", json::object());
            std::vector<std::string> cells{
                cell(row, "id"), cell(specs, "gpu_type"), cell(specs, "gpu_count"),
                cell(row.value("pricing", json::object()), "cents_per_minute")};
            if (shows_room)
                cells.push_back(cell(row.value("availability", json::object()), "status"));
            table.add(cells);
        }
        std::fputs(table.to_text().c_str(), stdout);
    });
}

int list_zones(AdminClient& admin, Output output) {
    return show(admin.call("GET", "/v1/clusters/availability-zones"), output,
                [](const json& zones) {
                    for (const json& zone : zones.value("avzones", json::array()))
                        std::printf("%s\n", zone.get<std::string>().c_str());
                });
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
