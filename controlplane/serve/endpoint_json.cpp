#include "controlplane/serve/endpoint_json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "config/base/limits.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMaxTextBytes = 512;            // of a name, as the store bounds it
constexpr std::int64_t kMaxTimeoutMinutes = 525'600;  // a year
constexpr const char* kDisableSpeculation = "disable_speculative_decoding";

Result<json> parse_object(std::string_view text) {
    json body = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!body.is_object()) return invalid_argument("expected a JSON object as body");
    return body;
}

// Absent and null read as nothing.
const json* find(const json& body, const char* key) {
    const auto found = body.find(key);
    return found == body.end() || found->is_null() ? nullptr : &*found;
}

Status read_text(const json& body, const char* key, std::optional<std::string>& text) {
    const json* value = find(body, key);
    if (value == nullptr) return {};
    if (!value->is_string() || value->get_ref<const std::string&>().size() > kMaxTextBytes)
        return invalid_argument(std::string(key) + ": expected a text of at most " +
                                    std::to_string(kMaxTextBytes) + " bytes",
                                key);
    text = value->get<std::string>();
    return {};
}

Status read_required(const json& body, const char* key, std::string& text) {
    std::optional<std::string> found;
    RETURN_IF_ERROR(read_text(body, key, found));
    if (!found || found->empty()) return invalid_argument(std::string(key) + " is required", key);
    text = *found;
    return {};
}

Result<int> read_count(const json& scaling, const char* key, int least) {
    const std::string param = std::string("autoscaling.") + key;
    const json* value = find(scaling, key);
    if (value == nullptr) return invalid_argument(param + " is required", param);
    if (!value->is_number_integer() || *value < least || *value > limits::kMaxReplicasPerEndpoint)
        return invalid_argument(param + ": expected an integer from " + std::to_string(least) +
                                    " to " + std::to_string(limits::kMaxReplicasPerEndpoint),
                                param);
    return value->get<int>();
}

Status read_autoscaling(const json& body, std::optional<Autoscaling>& autoscaling) {
    const json* scaling = find(body, "autoscaling");
    if (scaling == nullptr) return {};
    if (!scaling->is_object())
        return invalid_argument("autoscaling: expected an object", "autoscaling");
    const Result<int> least = read_count(*scaling, "min_replicas", 0);
    if (!least) return least.error();
    const Result<int> most = read_count(*scaling, "max_replicas", 1);
    if (!most) return most.error();
    if (*least > *most)
        return invalid_argument("autoscaling: min_replicas " + std::to_string(*least) +
                                    " is over max_replicas " + std::to_string(*most),
                                "autoscaling.min_replicas");
    autoscaling = Autoscaling{*least, *most};
    return {};
}

Status read_state(const json& body, std::optional<DesiredState>& state) {
    std::optional<std::string> text;
    RETURN_IF_ERROR(read_text(body, "state", text));
    if (!text) return {};
    const Result<DesiredState> parsed = parse_desired_state(*text);
    if (!parsed) return invalid_argument("state: " + parsed.error().message, "state");
    state = *parsed;
    return {};
}

// A null means never, an absent field nothing.
Status read_timeout(const json& body, std::optional<std::int64_t>& minutes) {
    constexpr const char* kKey = "inactive_timeout";
    if (!body.contains(kKey)) return {};
    const json* value = find(body, kKey);
    if (value == nullptr) {
        minutes = 0;
        return {};
    }
    if (!value->is_number_integer() || *value < 0 || *value > kMaxTimeoutMinutes)
        return invalid_argument(
            "inactive_timeout: expected minutes from 0 to " + std::to_string(kMaxTimeoutMinutes),
            kKey);
    minutes = value->get<std::int64_t>();
    return {};
}

Status read_flag(const json& body, const char* key, std::optional<bool>& flag) {
    const json* value = find(body, key);
    if (value == nullptr) return {};
    if (!value->is_boolean())
        return invalid_argument(std::string(key) + ": expected true or false", key);
    flag = value->get<bool>();
    return {};
}

ordered_json json_of(const Autoscaling& autoscaling) {
    return {{"min_replicas", autoscaling.min_replicas}, {"max_replicas", autoscaling.max_replicas}};
}

std::string dump(const ordered_json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

Result<CreateEndpointBody> parse_create_endpoint(std::string_view text) {
    const Result<json> body = parse_object(text);
    if (!body) return body.error();
    CreateEndpointBody create;
    RETURN_IF_ERROR(read_required(*body, "model", create.model));
    RETURN_IF_ERROR(read_required(*body, "hardware", create.hardware));
    std::optional<Autoscaling> autoscaling;
    RETURN_IF_ERROR(read_autoscaling(*body, autoscaling));
    if (!autoscaling) return invalid_argument("autoscaling is required", "autoscaling");
    create.autoscaling = *autoscaling;
    std::optional<std::string> display_name;
    std::optional<std::string> key;
    std::optional<std::string> zone;
    std::optional<DesiredState> state;
    std::optional<std::int64_t> minutes;
    std::optional<bool> disables_drafts;
    RETURN_IF_ERROR(read_text(*body, "display_name", display_name));
    RETURN_IF_ERROR(read_text(*body, "idempotency_key", key));
    RETURN_IF_ERROR(read_text(*body, "availability_zone", zone));
    RETURN_IF_ERROR(read_state(*body, state));
    RETURN_IF_ERROR(read_timeout(*body, minutes));
    RETURN_IF_ERROR(read_flag(*body, kDisableSpeculation, disables_drafts));
    create.display_name = display_name.value_or("");
    create.idempotency_key = key.value_or("");
    create.availability_zone = zone.value_or("");
    create.state = state.value_or(DesiredState::kStarted);
    create.inactive_timeout_minutes = minutes.value_or(0);
    create.disable_speculative_decoding = disables_drafts.value_or(false);
    return create;
}

Result<PatchEndpointBody> parse_patch_endpoint(std::string_view text) {
    const Result<json> body = parse_object(text);
    if (!body) return body.error();
    PatchEndpointBody patch;
    RETURN_IF_ERROR(read_text(*body, "display_name", patch.display_name));
    RETURN_IF_ERROR(read_state(*body, patch.state));
    RETURN_IF_ERROR(read_autoscaling(*body, patch.autoscaling));
    RETURN_IF_ERROR(read_timeout(*body, patch.inactive_timeout_minutes));
    RETURN_IF_ERROR(read_flag(*body, kDisableSpeculation, patch.disable_speculative_decoding));
    return patch;
}

std::string write_endpoint(const Endpoint& endpoint, const std::string& owner) {
    return dump({{"object", "endpoint"},
                 {"id", endpoint.id.value()},
                 {"name", endpoint.name},
                 {"display_name", endpoint.display_name},
                 {"model", endpoint.model},
                 {"hardware", endpoint.hardware},
                 {"type", to_string(endpoint.type)},
                 {"owner", owner},
                 {"state", to_string(endpoint.state)},
                 {"reason", endpoint.reason},
                 {"autoscaling", json_of(endpoint.autoscaling)},
                 {kDisableSpeculation, endpoint.disable_speculative_decoding},
                 {"rollout", endpoint.rollout},
                 {"created_at", format_rfc3339(endpoint.created_at)}});
}

std::string write_listed_endpoint(const Endpoint& endpoint, const std::string& owner) {
    return dump({{"object", "endpoint"},
                 {"id", endpoint.id.value()},
                 {"name", endpoint.name},
                 {"model", endpoint.model},
                 {"type", to_string(endpoint.type)},
                 {"owner", owner},
                 {"state", to_string(endpoint.state)},
                 {"created_at", format_rfc3339(endpoint.created_at)}});
}

std::string write_hardware(const Hardware& hardware, bool show_availability, WallTime now) {
    ordered_json row{{"object", "hardware"},
                     {"id", hardware.id},
                     {"pricing", {{"cents_per_minute", hardware.cents_per_minute}}},
                     {"specs",
                      {{"gpu_type", hardware.gpu_type},
                       {"gpu_link", hardware.gpu_link},
                       {"gpu_memory", hardware.gpu_memory_gb},
                       {"gpu_count", hardware.gpu_count}}}};
    if (show_availability)
        row["availability"] = {{"status", hardware.is_available ? "available" : "insufficient"}};
    row["updated_at"] = format_rfc3339(now);
    return dump(row);
}

std::string write_replica(const Replica& replica, std::int64_t pid) {
    ordered_json row{{"id", replica.id.value()},
                     {"state", to_string(replica.state)},
                     {"state_since", format_rfc3339(replica.state_since)},
                     {"generation", replica.generation},
                     {"epoch", replica.epoch.value()},
                     {"address", replica.address},
                     {"pid", nullptr},
                     {"reason", replica.reason}};
    if (pid != 0) row["pid"] = pid;
    return dump(row);
}

}  // namespace turnpike::controlplane
