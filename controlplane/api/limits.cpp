#include "controlplane/api/limits.h"

#include <limits>
#include <utility>

#include "controlplane/api/json_fields.h"

namespace turnpike::controlplane {
namespace {

Status check_range(const char* name, std::optional<std::int64_t> value, std::int64_t low) {
    if (!value || (*value >= low && *value <= kMaxPerMinute)) return {};
    return invalid_argument("'" + std::string(name) + "': expected " + std::to_string(low) +
                                " to " + std::to_string(kMaxPerMinute) + ", found " +
                                std::to_string(*value),
                            name);
}

Status check(const Limits& limits) {
    RETURN_IF_ERROR(check_range("requests_per_minute", limits.requests_per_minute, 1));
    RETURN_IF_ERROR(check_range("tokens_per_minute", limits.tokens_per_minute, 1));
    RETURN_IF_ERROR(check_range("concurrent_requests", limits.concurrent_requests, 1));
    if (limits.monthly_spend && *limits.monthly_spend < NanoUsd()) {
        return invalid_argument("'monthly_nano_usd': expected no negative amount, found " +
                                    std::to_string(limits.monthly_spend->value()),
                                "monthly_nano_usd");
    }
    return {};
}

}  // namespace

std::string limits_subject(const OrgId& org) {
    return "organisation:" + org.value();
}

std::string limits_subject(const KeyId& key) {
    return "key:" + key.value();
}

std::string model_limits_subject(std::string_view model) {
    return "model:" + std::string(model);
}

std::string write_limits(const Limits& limits) {
    nlohmann::json object{{"requests_per_minute", nullptr},
                          {"tokens_per_minute", nullptr},
                          {"concurrent_requests", nullptr},
                          {"monthly_nano_usd", nullptr}};
    if (limits.requests_per_minute) object["requests_per_minute"] = *limits.requests_per_minute;
    if (limits.tokens_per_minute) object["tokens_per_minute"] = *limits.tokens_per_minute;
    if (limits.concurrent_requests) object["concurrent_requests"] = *limits.concurrent_requests;
    if (limits.monthly_spend) object["monthly_nano_usd"] = limits.monthly_spend->value();
    return write_json(object);
}

Result<Limits> parse_limits(std::string_view text) {
    const auto object = parse_object(text, "limits");
    RETURN_IF_ERROR(object);
    JsonFields fields(*object, "limits");
    Limits limits;
    limits.requests_per_minute = fields.optional_integer("requests_per_minute");
    limits.tokens_per_minute = fields.optional_integer("tokens_per_minute");
    limits.concurrent_requests = fields.optional_integer("concurrent_requests");
    if (const auto monthly = fields.optional_integer("monthly_nano_usd")) {
        limits.monthly_spend = NanoUsd(*monthly);
    }
    RETURN_IF_ERROR(fields.finish());
    RETURN_IF_ERROR(check(limits));
    return limits;
}

Result<Limits> merge_limits(const Limits& limits, std::string_view text) {
    const auto changes = parse_object(text, "limits");
    RETURN_IF_ERROR(changes);
    nlohmann::json object = nlohmann::json::parse(write_limits(limits));
    for (const auto& [name, value] : changes->items()) {
        if (object.contains(name)) object[name] = value;
    }
    return parse_limits(write_json(object));
}

}  // namespace turnpike::controlplane
