#include "engine/api/status.h"

#include <limits>
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
        return Error{
            ErrorCode::kCorrupt, std::string(what) + ": " + excerpt(problem.what(), 200), {}};
    }
}

// Neither a fraction nor beyond 64 bits with sign: get() would round or wrap those.
std::int64_t integer_at(const json& object, const char* name) {
    constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
    const json& value = object.at(name);
    const bool is_too_large = value.is_number_unsigned() && value.get<std::uint64_t>() > kMax;
    if (!value.is_number_integer() || is_too_large) {
        throw json::type_error::create(
            302, std::string("'") + name + "' expected an integer of 64 bits", &value);
    }
    return value.get<std::int64_t>();
}

// A reason may quote a damaged file: bytes that are no UTF-8 are replaced, where dump() would
// throw.
std::string write(const json& object) {
    return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

json to_json(const TokenUsage& usage) {
    return json{{"prompt_tokens", usage.prompt_tokens},
                {"cached_tokens", usage.cached_tokens},
                {"completion_tokens", usage.completion_tokens},
                {"reasoning_tokens", usage.reasoning_tokens}};
}

TokenUsage usage_from(const json& object) {
    return {integer_at(object, "prompt_tokens"), integer_at(object, "cached_tokens"),
            integer_at(object, "completion_tokens"), integer_at(object, "reasoning_tokens")};
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
    return write({{"state", to_string(health.state)},
                  {"reason", health.reason},
                  {"model", health.model},
                  {"epoch", health.epoch.value()},
                  {"pid", health.pid},
                  {"protocol", health.protocol}});
}

std::string write_load(const Load& load) {
    return write({{"running", load.num_running},
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
                  {"accepted_at", load.accepted_at},
                  {"tokens_per_s", load.tokens_per_s}});
}

std::string write_meter_entry(const MeterEntry& entry) {
    json object = to_json(entry.usage);
    object["request_id"] = entry.request_id;
    object["final"] = entry.is_final;
    return write(object);
}

std::string write_meter_totals(const MeterTotals& totals) {
    json object = to_json(totals.usage);
    object["requests"] = totals.num_requests;
    object["open"] = totals.num_open;
    return write(object);
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
        health.epoch = Epoch(integer_at(object, "epoch"));
        health.pid = integer_at(object, "pid");
        if (object.contains("protocol")) health.protocol = object.at("protocol").get<int>();
    });
}

Result<Load> parse_load(std::string_view text) {
    return read_object<Load>(text, "load", [](const json& object, Load& load) {
        load.num_running = integer_at(object, "running");
        load.num_waiting = integer_at(object, "waiting");
        load.num_steps = integer_at(object, "steps");
        load.kv_blocks_used = integer_at(object, "kv_blocks_used");
        load.kv_blocks_total = integer_at(object, "kv_blocks_total");
        load.generated_tokens = integer_at(object, "generated_tokens");
        load.num_preemptions = integer_at(object, "preemptions");
        load.cache_queried_tokens = integer_at(object, "cache_queried_tokens");
        load.cache_hit_tokens = integer_at(object, "cache_hit_tokens");
        load.num_drafts = integer_at(object, "drafts");
        load.draft_tokens = integer_at(object, "draft_tokens");
        load.accepted_tokens = integer_at(object, "accepted_tokens");
        load.tokens_per_s = object.at("tokens_per_s").get<double>();
        if (object.contains("accepted_at"))
            load.accepted_at = object.at("accepted_at").get<std::vector<std::int64_t>>();
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
    return read_object<MeterTotals>(text, "meter totals",
                                    [](const json& object, MeterTotals& totals) {
                                        totals.num_requests = integer_at(object, "requests");
                                        totals.num_open = integer_at(object, "open");
                                        totals.usage = usage_from(object);
                                    });
}

}  // namespace turnpike::engine
