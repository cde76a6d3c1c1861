#include "gateway/client/price_list.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

namespace turnpike::gateway::client {
namespace {

using nlohmann::json;

constexpr std::int64_t kTokensPerListedPrice = 1'000'000;
// Far above every price and request there is; the product of both still fits 64 bits.
constexpr std::int64_t kMaxNanoUsdPerToken = 1'000'000'000;
constexpr TokenCount kMaxTokens = 1'000'000'000;

// The shortest decimal that reads as this double is the one that was written, up to 15 digits.
std::string decimal_of(double value) {
    std::array<char, 400> text{};
    const auto [end, error] =
        std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    return error == std::errc() ? std::string(text.data(), end) : std::string();
}

std::optional<NanoUsd> per_token(const json& pricing, const char* name) {
    const auto entry = pricing.find(name);
    if (entry == pricing.end() || !entry->is_number()) return {};
    const auto per_million = parse_usd(decimal_of(entry->get<double>()));
    if (!per_million || per_million->value() < 0) return {};
    if (per_million->value() % kTokensPerListedPrice != 0) return {};
    const std::int64_t nanos = per_million->value() / kTokensPerListedPrice;
    if (nanos > kMaxNanoUsdPerToken) return {};
    return NanoUsd(nanos);
}

std::optional<Price> price_of(const json& row) {
    const auto pricing = row.find("pricing");
    if (pricing == row.end() || !pricing->is_object()) return {};
    const auto input = per_token(*pricing, "input");
    const auto output = per_token(*pricing, "output");
    if (!input || !output) return {};
    Price price;
    price.input_nano_usd = *input;
    price.output_nano_usd = *output;
    price.cached_input_nano_usd = *input;
    if (pricing->contains("cached_input")) {
        const auto cached = per_token(*pricing, "cached_input");
        if (!cached) return {};
        price.cached_input_nano_usd = *cached;
    }
    return price;
}

}  // namespace

Result<PriceList> PriceList::parse(std::string_view json_text) {
    const json body = json::parse(json_text, nullptr, /*allow_exceptions=*/false);
    const json rows = body.is_object() ? body.value("data", json()) : body;
    if (!rows.is_array()) return Error{ErrorCode::kCorrupt, "expected a list of models", {}};
    PriceList list;
    for (const json& row : rows) {
        if (!row.is_object()) continue;
        const auto id = row.find("id");
        if (id != row.end() && id->is_string())
            list.prices_[id->get<std::string>()] = price_of(row);
    }
    return list;
}

std::optional<Price> PriceList::find(const std::string& model) const {
    const auto entry = prices_.find(model);
    return entry == prices_.end() ? std::nullopt : entry->second;
}

std::vector<std::string> PriceList::names() const {
    std::vector<std::string> names;
    for (const auto& [name, price] : prices_) names.push_back(name);
    return names;
}

std::optional<NanoUsd> cost_if_sane(const Price& price, const TokenUsage& usage) {
    const auto is_count = [](TokenCount count, TokenCount limit) {
        return count >= 0 && count <= limit;
    };
    const bool is_sane = is_count(usage.prompt_tokens, kMaxTokens) &&
                         is_count(usage.cached_tokens, usage.prompt_tokens) &&
                         is_count(usage.completion_tokens, kMaxTokens);
    if (!is_sane) return {};
    return cost_of(price, usage);
}

}  // namespace turnpike::gateway::client
