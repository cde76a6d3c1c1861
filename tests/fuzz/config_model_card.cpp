// Model cards: refused naming the key, or a card within its bounds, whose prices can bill the
// largest usage that is accepted.
#include <cmath>

#include "config/schema/model_card.h"
#include "controlplane/api/usage_record.h"
#include "tests/fuzz/target.h"

using namespace turnpike;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto card = schema::parse_model_card(fuzz::text_of(data, size), "f");
    if (!card) {
        fuzz::check_error(card.error(), {ErrorCode::kInvalidArgument});
        CHECK(card.error().message.starts_with("f: "));
        return 0;
    }
    CHECK(!card->id.empty());
    CHECK(card->default_max_tokens >= 1 && card->default_max_tokens <= card->max_max_tokens);
    CHECK(card->max_max_tokens <= card->context_length);
    CHECK(card->default_temperature >= 0.0F && card->default_temperature <= 2.0F);
    CHECK(card->default_top_p > 0.0F && card->default_top_p <= 1.0F);
    for (const schema::Benchmark& benchmark : card->benchmarks)
        CHECK(std::isfinite(benchmark.score));
    CHECK(card->parameters >= 0);
    Price price;
    price.input_nano_usd = card->input_nano_usd;
    price.cached_input_nano_usd = card->cached_input_nano_usd;
    price.output_nano_usd = card->output_nano_usd;
    constexpr TokenCount kMost = controlplane::kMaxRecordTokens;
    CHECK(cost_of(price, {kMost, 0, kMost, 0}) >= NanoUsd());
    CHECK(cost_of(price, {kMost, kMost, kMost, kMost}) >= NanoUsd());
    return 0;
}
