#include "controlplane/api/lease.h"

#include <limits>
#include <utility>

#include "controlplane/api/json_fields.h"

namespace turnpike::controlplane {

using nlohmann::json;

namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
// 10^9 USD: no sum of some of them overflows.
constexpr std::int64_t kMaxAmount = 1'000'000'000'000'000'000;

NanoUsd amount(JsonFields& fields, const char* key) {
    return NanoUsd(fields.integer(key, 0, kMaxAmount));
}

Result<LeaseAsk> read_ask(const json& object) {
    JsonFields fields(object, "lease ask");
    LeaseAsk ask;
    ask.subject = fields.text("subject");
    ask.settled = amount(fields, "settled_nano_usd");
    ask.returned = amount(fields, "returned_nano_usd");
    ask.wanted = amount(fields, "wanted_nano_usd");
    RETURN_IF_ERROR(fields.finish());
    return ask;
}

Result<LeaseGrant> read_grant(const json& object) {
    JsonFields fields(object, "lease grant");
    LeaseGrant grant;
    grant.subject = fields.text("subject");
    grant.granted = amount(fields, "granted_nano_usd");
    grant.is_short = fields.boolean("short");
    RETURN_IF_ERROR(fields.finish());
    return grant;
}

}  // namespace

std::string write_lease_request(const LeaseRequest& request) {
    json asks = json::array();
    for (const LeaseAsk& ask : request.asks) {
        asks.push_back(json{{"subject", ask.subject},
                            {"settled_nano_usd", ask.settled.value()},
                            {"returned_nano_usd", ask.returned.value()},
                            {"wanted_nano_usd", ask.wanted.value()}});
    }
    return write_json({{"gateway", request.gateway},
                       {"epoch", request.epoch.value()},
                       {"delivered_earlier_runs", request.has_delivered_earlier_runs},
                       {"leaving", request.is_leaving},
                       {"share_ppm", request.share_ppm},
                       {"asks", std::move(asks)}});
}

Result<LeaseRequest> parse_lease_request(std::string_view text) {
    const auto object = parse_object(text, "lease request");
    RETURN_IF_ERROR(object);
    JsonFields fields(*object, "lease request");
    LeaseRequest request;
    request.gateway = fields.text("gateway");
    request.epoch = Epoch(fields.integer("epoch", 0, kMax));
    request.has_delivered_earlier_runs = fields.boolean("delivered_earlier_runs");
    request.is_leaving = fields.boolean("leaving");
    request.share_ppm = fields.integer("share_ppm", 0, kWholeShare);
    const json& asks = fields.array("asks");
    RETURN_IF_ERROR(fields.finish());
    if (request.gateway.empty()) return invalid_argument("expected a gateway's id", "gateway");
    if (asks.size() > kMaxLeaseAsks) {
        return invalid_argument("expected at most " + std::to_string(kMaxLeaseAsks) +
                                    " asks, found " + std::to_string(asks.size()),
                                "asks");
    }
    RETURN_IF_ERROR(read_rows(asks, request.asks, read_ask));
    return request;
}

std::string write_lease_answer(const LeaseAnswer& answer) {
    json grants = json::array();
    for (const LeaseGrant& grant : answer.grants) {
        grants.push_back(json{{"subject", grant.subject},
                              {"granted_nano_usd", grant.granted.value()},
                              {"short", grant.is_short}});
    }
    return write_json({{"epoch", answer.epoch.value()},
                       {"lifetime_ms", answer.lifetime_ms},
                       {"share_ppm", answer.share_ppm},
                       {"grants", std::move(grants)}});
}

Result<LeaseAnswer> parse_lease_answer(std::string_view text) {
    const auto object = parse_object(text, "lease answer");
    RETURN_IF_ERROR(object);
    JsonFields fields(*object, "lease answer");
    LeaseAnswer answer;
    answer.epoch = Epoch(fields.integer("epoch", 1, kMax));
    answer.lifetime_ms = fields.integer("lifetime_ms", 0, kMax);
    answer.share_ppm = fields.integer("share_ppm", 0, kWholeShare);
    const json& grants = fields.array("grants");
    RETURN_IF_ERROR(fields.finish());
    RETURN_IF_ERROR(read_rows(grants, answer.grants, read_grant));
    return answer;
}

}  // namespace turnpike::controlplane
