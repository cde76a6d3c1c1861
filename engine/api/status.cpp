#include "engine/api/status.h"

#include <nlohmann/json.hpp>

#include "config/base/check.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

// nlohmann's lookups throw; this is the one place that turns that into a value.
template <class T, class Read>
Result<T> read_object(std::string_view text, const char* what, Read read) {
    try {
        const json object = json::parse(text);
        T value;
        read(object, value);
        return value;
    } catch (const json::exception& problem) {
        return Error{ErrorCode::kCorrupt, std::string(what) + ": " + problem.what(), {}};
    }
}

json to_json(const TokenUsage& usage) {
    return json{{"prompt_tokens", usage.prompt_tokens},
                {"cached_tokens", usage.cached_tokens},
                {"completion_tokens", usage.completion_tokens},
                {"reasoning_tokens", usage.reasoning_tokens}};
}

TokenUsage usage_from(const json& object) {
    return {object.at("prompt_tokens").get<TokenCount>(),
            object.at("cached_tokens").get<TokenCount>(),
            object.at("completion_tokens").get<TokenCount>(),
            object.at("reasoning_tokens").get<TokenCount>()};
}

constexpr EngineState kStates[] = {EngineState::kLoading, EngineState::kReady,
                                   EngineState::kDraining, EngineState::kFailed};

}  // namespace

std::string_view to_string(EngineState state) {
    switch (state) {
        case EngineState::kLoading:
            return "loading";
        case EngineState::kReady:
            return "ready";
        case EngineState::kDraining:
            return "draining";
        case EngineState::kFailed:
            return "failed";
    }
    CHECK(false && "unknown EngineState");
}

std::string write_health(const Health& health) {
    return json{{"state", to_string(health.state)},
                {"reason", health.reason},
                {"model", health.model},
                {"epoch", health.epoch.value()},
                {"pid", health.pid}}
        .dump();
}

std::string write_load(const Load& load) {
    return json{{"running", load.num_running},
                {"waiting", load.num_waiting},
                {"steps", load.num_steps},
                {"kv_blocks_used", load.kv_blocks_used},
                {"kv_blocks_total", load.kv_blocks_total},
                {"kv_usage", load.kv_usage()},
                {"generated_tokens", load.generated_tokens},
                {"preemptions", load.num_preemptions},
                {"cache_queried_tokens", load.cache_queried_tokens},
                {"cache_hit_tokens", load.cache_hit_tokens},
                {"drafts", load.num_drafts},
                {"draft_tokens", load.draft_tokens},
                {"accepted_tokens", load.accepted_tokens},
                {"tokens_per_s", load.tokens_per_s}}
        .dump();
}

std::string write_meter_entry(const MeterEntry& entry) {
    json object = to_json(entry.usage);
    object["request_id"] = entry.request_id;
    object["final"] = entry.is_final;
    return object.dump();
}

std::string write_meter_totals(const MeterTotals& totals) {
    json object = to_json(totals.usage);
    object["requests"] = totals.num_requests;
    object["open"] = totals.num_open;
    return object.dump();
}

Result<Health> parse_health(std::string_view text) {
    return read_object<Health>(text, "health", [](const json& object, Health& health) {
        const auto name = object.at("state").get<std::string>();
        bool is_known = false;
        for (const EngineState state : kStates) {
            if (to_string(state) != name) continue;
            health.state = state;
            is_known = true;
        }
        if (!is_known) health.state = EngineState::kFailed;
        health.reason = is_known ? object.at("reason").get<std::string>() : "unknown state " + name;
        health.model = object.at("model").get<std::string>();
        health.epoch = Epoch(object.at("epoch").get<std::int64_t>());
        health.pid = object.at("pid").get<std::int64_t>();
    });
}

Result<Load> parse_load(std::string_view text) {
    return read_object<Load>(text, "load", [](const json& object, Load& load) {
        load.num_running = object.at("running").get<std::int64_t>();
        load.num_waiting = object.at("waiting").get<std::int64_t>();
        load.num_steps = object.at("steps").get<std::int64_t>();
        load.kv_blocks_used = object.at("kv_blocks_used").get<std::int64_t>();
        load.kv_blocks_total = object.at("kv_blocks_total").get<std::int64_t>();
        load.generated_tokens = object.at("generated_tokens").get<std::int64_t>();
        load.num_preemptions = object.at("preemptions").get<std::int64_t>();
        load.cache_queried_tokens = object.at("cache_queried_tokens").get<std::int64_t>();
        load.cache_hit_tokens = object.at("cache_hit_tokens").get<std::int64_t>();
        load.num_drafts = object.at("drafts").get<std::int64_t>();
        load.draft_tokens = object.at("draft_tokens").get<std::int64_t>();
        load.accepted_tokens = object.at("accepted_tokens").get<std::int64_t>();
        load.tokens_per_s = object.at("tokens_per_s").get<double>();
    });
}

Result<MeterEntry> parse_meter_entry(std::string_view text) {
    return read_object<MeterEntry>(text, "meter entry", [](const json& object, MeterEntry& entry) {
        entry.request_id = object.at("request_id").get<std::string>();
        entry.usage = usage_from(object);
        entry.is_final = object.at("final").get<bool>();
    });
}

Result<MeterTotals> parse_meter_totals(std::string_view text) {
    return read_object<MeterTotals>(
        text, "meter totals", [](const json& object, MeterTotals& totals) {
            totals.num_requests = object.at("requests").get<std::int64_t>();
            totals.num_open = object.at("open").get<std::int64_t>();
            totals.usage = usage_from(object);
        });
}

}  // namespace turnpike::engine
