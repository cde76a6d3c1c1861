// config.json of every architecture: refused naming the key, or a config whose numbers are finite,
// positive and fit each other.
#include <cmath>
#include <string>

#include "engine/model/blueprint.h"
#include "engine/model/deepseek_config.h"
#include "engine/model/load.h"
#include "engine/model/qwen3_config.h"
#include "tests/fuzz/target.h"

using turnpike::ErrorCode;
using namespace turnpike::engine;

namespace {

void check_refusal(const turnpike::Error& error) {
    turnpike::fuzz::check_error(error, {ErrorCode::kCorrupt, ErrorCode::kInvalidArgument});
    CHECK(error.message.starts_with("f: "));
    CHECK(error.code == ErrorCode::kCorrupt || !error.param.empty());
}

bool is_positive(double number) {
    return std::isfinite(number) && number > 0.0;
}

void check_yarn(const turnpike::kernels::YarnParams& yarn) {
    CHECK(is_positive(yarn.theta) && yarn.theta > 1.0);
    CHECK(is_positive(yarn.factor) && yarn.factor >= 1.0);
    CHECK(is_positive(yarn.beta_fast) && is_positive(yarn.beta_slow));
    CHECK(yarn.dim >= 2 && yarn.dim % 2 == 0);
}

void check_deepseek(std::string_view text) {
    const auto config = parse_deepseek_config(text, "f");
    if (!config) return check_refusal(config.error());
    check_yarn(config->yarn);
    CHECK(is_positive(static_cast<double>(config->rms_epsilon)));
    CHECK(is_positive(static_cast<double>(config->mla.softmax_scale)));
    CHECK(std::isfinite(config->router.scale));
    CHECK(config->num_dense_layers <= config->num_layers);
    CHECK(config->bos_token >= 0 && config->bos_token < config->vocab_size);
    CHECK(config->eos_token >= 0 && config->eos_token < config->vocab_size);
}

void check_qwen3(std::string_view text) {
    const auto config = parse_qwen3_config(text, "f");
    if (!config) return check_refusal(config.error());
    check_yarn(config->yarn);
    CHECK(is_positive(static_cast<double>(config->rms_epsilon)));
    CHECK(is_positive(static_cast<double>(config->attention.softmax_scale)));
    CHECK(is_positive(config->rope_magnitude));
    CHECK(config->attention.num_heads % config->attention.num_kv_heads == 0);
    CHECK(config->bos_token >= 0 && config->bos_token < config->vocab_size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = turnpike::fuzz::text_of(data, size);
    check_deepseek(text);
    check_qwen3(text);
    const auto blueprint = parse_blueprint(text, "f");
    if (!blueprint) {
        check_refusal(blueprint.error());
        return 0;
    }
    const ModelInfo info = (*blueprint)->info();
    CHECK(info.vocab_size > 0 && info.max_positions > 0 && info.kv_bytes_per_token > 0);
    CHECK((*blueprint)->serving_shape().num_heads > 0);
    return 0;
}
