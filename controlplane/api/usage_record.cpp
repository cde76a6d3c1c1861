// The codec of usage records. Counts are bounded here, so that no delivered record can overflow
// the arithmetic of money later on.
#include "controlplane/api/usage_record.h"

#include <array>
#include <utility>

#include "config/base/check.h"
#include "controlplane/api/json_fields.h"

namespace turnpike::controlplane {

using nlohmann::json;

namespace {

constexpr std::array<std::pair<Outcome, std::string_view>, 5> kOutcomes{
    {{Outcome::kCompleted, "completed"},
     {Outcome::kClientGone, "client_gone"},
     {Outcome::kRefused, "refused"},
     {Outcome::kReplicaFailed, "replica_failed"},
     {Outcome::kGatewayFailed, "gateway_failed"}}};

json to_json(const UsageRecord& record) {
    return json{{"request_id", record.request_id.value()},
                {"org", record.org.value()},
                {"key", record.key.value()},
                {"model", record.model},
                {"served_model", record.served_model},
                {"endpoint", record.endpoint.value()},
                {"replica", record.replica.value()},
                {"epoch", record.epoch.value()},
                {"price_version", record.price_version},
                {"outcome", to_string(record.outcome)},
                {"http_status", record.http_status},
                {"prompt_tokens", record.usage.prompt_tokens},
                {"cached_tokens", record.usage.cached_tokens},
                {"completion_tokens", record.usage.completion_tokens},
                {"reasoning_tokens", record.usage.reasoning_tokens},
                {"provider_reported", record.is_provider_reported},
                {"opened_at_us", to_unix_us(record.opened_at)},
                {"closed_at_us", to_unix_us(record.closed_at)}};
}

bool is_plausible(const TokenUsage& usage) {
    return usage.cached_tokens >= 0 && usage.cached_tokens <= usage.prompt_tokens &&
           usage.reasoning_tokens >= 0 && usage.reasoning_tokens <= usage.completion_tokens &&
           usage.prompt_tokens <= kMaxRecordTokens && usage.completion_tokens <= kMaxRecordTokens;
}

Result<UsageRecord> from_json(const json& object) {
    JsonFields fields(object, "usage record");
    UsageRecord record;
    record.request_id = RequestId(fields.text("request_id"));
    record.org = OrgId(fields.text("org"));
    record.key = KeyId(fields.text("key"));
    record.model = fields.text("model");
    record.served_model = fields.text("served_model");
    record.endpoint = EndpointId(fields.text("endpoint"));
    record.replica = ReplicaId(fields.text("replica"));
    record.epoch = Epoch(fields.integer("epoch"));
    record.price_version = fields.integer("price_version");
    const auto outcome = parse_outcome(fields.text("outcome"));
    if (outcome) {
        record.outcome = *outcome;
    } else {
        fields.fail("'outcome' " + outcome.error().message);
    }
    record.http_status = static_cast<int>(fields.integer("http_status", 0, 999));
    record.usage.prompt_tokens = fields.integer("prompt_tokens");
    record.usage.cached_tokens = fields.integer("cached_tokens");
    record.usage.completion_tokens = fields.integer("completion_tokens");
    record.usage.reasoning_tokens = fields.integer("reasoning_tokens");
    if (!is_plausible(record.usage)) {
        fields.fail(
            "expected 0 <= cached <= prompt, 0 <= reasoning <= completion and at most 10^9 tokens");
    }
    record.is_provider_reported = fields.boolean("provider_reported");
    record.opened_at = from_unix_us(fields.integer("opened_at_us"));
    record.closed_at = from_unix_us(fields.integer("closed_at_us"));
    RETURN_IF_ERROR(fields.finish());
    return record;
}

}  // namespace

bool is_billed(Outcome outcome) {
    switch (outcome) {
        case Outcome::kCompleted:
        case Outcome::kClientGone:
        case Outcome::kRefused:
            return true;
        case Outcome::kReplicaFailed:
        case Outcome::kGatewayFailed:
            return false;
    }
    CHECK(false && "unknown Outcome");
}

std::string_view to_string(Outcome outcome) {
    for (const auto& [value, name] : kOutcomes) {
        if (value == outcome) return name;
    }
    CHECK(false && "unknown Outcome");
}

Result<Outcome> parse_outcome(std::string_view text) {
    for (const auto& [value, name] : kOutcomes) {
        if (name == text) return value;
    }
    return invalid_argument("expected an outcome such as 'completed', found '" + excerpt(text) +
                            "'");
}

std::string write_usage_record(const UsageRecord& record) {
    return write_json(to_json(record));
}

Result<UsageRecord> parse_usage_record(std::string_view text) {
    const auto object = parse_object(text, "usage record");
    RETURN_IF_ERROR(object);
    return from_json(*object);
}

std::string write_usage_batch(const UsageBatch& batch) {
    json records = json::array();
    for (const UsageRecord& record : batch.records) records.push_back(to_json(record));
    return write_json({{"outbox", batch.outbox_id},
                       {"first_sequence", batch.first_sequence},
                       {"records", std::move(records)}});
}

Result<UsageBatch> parse_usage_batch(std::string_view text) {
    const auto object = parse_object(text, "usage batch");
    RETURN_IF_ERROR(object);
    JsonFields fields(*object, "usage batch");
    UsageBatch batch;
    batch.outbox_id = fields.text("outbox");
    batch.first_sequence = fields.integer("first_sequence");
    const json& records = fields.array("records");
    RETURN_IF_ERROR(fields.finish());
    RETURN_IF_ERROR(read_rows(records, batch.records, from_json));
    return batch;
}

}  // namespace turnpike::controlplane
