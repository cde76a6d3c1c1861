#include "config/schema/model_card.h"

#include <array>
#include <utility>

#include "config/base/read_file.h"
#include "config/schema/json_settings.h"

namespace turnpike::schema {
namespace {

constexpr std::int64_t kTokensPerPrice = 1'000'000;

Error card_error(std::string_view file_name, std::string_view key, const std::string& message) {
    return invalid_argument(std::string(file_name) + ": '" + std::string(key) + "' " + message,
                            std::string(key));
}

// "3" USD per million tokens -> 3,000 nano-dollars per token; refuses what is no integer.
Result<NanoUsd> per_token_price(std::string_view file_name,
                                std::string_view key,
                                const std::string& text) {
    const auto per_million = parse_usd(text);
    if (!per_million) return card_error(file_name, key, per_million.error().message);
    const std::int64_t per_token = per_million->value() / kTokensPerPrice;
    if (per_million->value() < 0 || per_million->value() % kTokensPerPrice != 0 ||
        per_token > kMaxTokenPrice.value()) {
        return card_error(
            file_name, key,
            "must be from 0 to 1,000,000 and a whole number of nano-dollars per token "
            "(a multiple of 0.001 USD per million), found '" +
                excerpt(text) + "'");
    }
    return NanoUsd(per_token);
}

template <class Enum, std::size_t kCount>
Result<Enum> parse_enum(std::string_view file_name,
                        std::string_view key,
                        const std::string& text,
                        const std::array<std::pair<const char*, Enum>, kCount>& names) {
    std::string expected;
    for (const auto& [name, value] : names) {
        if (text == name) return value;
        expected += (expected.empty() ? "" : " or ") + std::string(name);
    }
    return card_error(file_name, key, "expected " + expected + ", found '" + excerpt(text) + "'");
}

Status validate(const ModelCard& card, std::string_view file_name) {
    if (card.id.empty()) return card_error(file_name, "id", "is empty");
    if (card.parameters < 0) return card_error(file_name, "parameters", "must be at least 0");
    if (card.context_length < 1)
        return card_error(file_name, "context_length", "must be at least 1");
    if (card.default_max_tokens < 1 || card.default_max_tokens > card.max_max_tokens) {
        return card_error(file_name, "default_max_tokens", "must be from 1 to max_max_tokens");
    }
    if (card.max_max_tokens > card.context_length) {
        return card_error(file_name, "max_max_tokens", "must be at most context_length");
    }
    if (!(card.default_temperature >= 0.0F && card.default_temperature <= 2.0F)) {
        return card_error(file_name, "default_temperature", "must be from 0 to 2");
    }
    if (!(card.default_top_p > 0.0F && card.default_top_p <= 1.0F)) {
        return card_error(file_name, "default_top_p", "must be over 0 and at most 1");
    }
    return {};
}

// The keys whose text form is not the member's own.
struct RawCard {
    std::string reasoning;
    std::string reasoning_style;
    std::string numerics;
    std::string input_usd_per_mtok;
    std::string cached_input_usd_per_mtok;
    std::string output_usd_per_mtok;
};

Status convert(const RawCard& raw, std::string_view file_name, ModelCard& card) {
    constexpr std::array kParsers{std::pair{"none", ReasoningParser::kNone},
                                  std::pair{"deepseek_r1", ReasoningParser::kDeepseekR1}};
    constexpr std::array kStyles{std::pair{"separate", ReasoningStyle::kSeparate},
                                 std::pair{"inline", ReasoningStyle::kInline}};
    constexpr std::array kNumerics{std::pair{"w8a16", Numerics::kW8A16},
                                   std::pair{"w8a8_block", Numerics::kW8A8Block}};
    const auto reasoning = parse_enum(file_name, "reasoning", raw.reasoning, kParsers);
    RETURN_IF_ERROR(reasoning);
    const auto style = parse_enum(file_name, "reasoning_style", raw.reasoning_style, kStyles);
    RETURN_IF_ERROR(style);
    const auto numerics = parse_enum(file_name, "numerics", raw.numerics, kNumerics);
    RETURN_IF_ERROR(numerics);
    card.reasoning = *reasoning;
    card.reasoning_style = *style;
    card.numerics = *numerics;
    if (!card.has_prices) return {};
    const auto input = per_token_price(file_name, "input_usd_per_mtok", raw.input_usd_per_mtok);
    RETURN_IF_ERROR(input);
    const auto cached =
        per_token_price(file_name, "cached_input_usd_per_mtok", raw.cached_input_usd_per_mtok);
    RETURN_IF_ERROR(cached);
    const auto output = per_token_price(file_name, "output_usd_per_mtok", raw.output_usd_per_mtok);
    RETURN_IF_ERROR(output);
    card.input_nano_usd = *input;
    card.cached_input_nano_usd = *cached;
    card.output_nano_usd = *output;
    return {};
}

}  // namespace

Result<ModelCard> parse_model_card(std::string_view json_text, std::string_view file_name) {
    auto file = JsonSettings::parse(json_text, std::string(file_name));
    RETURN_IF_ERROR(file);
    ModelCard card;
    card.id = file->text("id");
    card.display_name = file->text("display_name");
    card.organization = file->text("organization");
    card.licence = file->text("licence");
    card.description = file->text("description", "");
    card.parameters = file->integer("parameters", 0);
    card.quantization = file->text("quantization", "");
    card.aliases = file->texts("aliases");
    for (JsonSettings& row : file->sections("benchmarks")) {
        Benchmark benchmark;
        benchmark.name = row.text("name");
        benchmark.score = row.number("score");
        card.benchmarks.push_back(std::move(benchmark));
    }
    card.context_length = file->integer("context_length");
    card.default_max_tokens = file->integer("default_max_tokens");
    card.max_max_tokens = file->integer("max_max_tokens");
    card.default_temperature = static_cast<float>(file->number("default_temperature", 1.0));
    card.default_top_p = static_cast<float>(file->number("default_top_p", 1.0));
    RawCard raw;
    raw.reasoning = file->text("reasoning", "none");
    raw.reasoning_style = file->text("reasoning_style", "separate");
    raw.numerics = file->text("numerics", "w8a16");
    card.has_prices = file->has("input_usd_per_mtok") || file->has("cached_input_usd_per_mtok") ||
                      file->has("output_usd_per_mtok");
    if (card.has_prices) {
        raw.input_usd_per_mtok = file->text("input_usd_per_mtok");
        raw.cached_input_usd_per_mtok =
            file->text("cached_input_usd_per_mtok", raw.input_usd_per_mtok);
        raw.output_usd_per_mtok = file->text("output_usd_per_mtok");
    }
    RETURN_IF_ERROR(file->finish());
    RETURN_IF_ERROR(convert(raw, file_name, card));
    RETURN_IF_ERROR(validate(card, file_name));
    return card;
}

Result<ModelCard> load_model_card(const std::string& path) {
    const auto text = read_file("model card", path);
    RETURN_IF_ERROR(text);
    return parse_model_card(*text, path);
}

}  // namespace turnpike::schema
