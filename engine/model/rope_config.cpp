// See rope_config.h.
#include "engine/model/rope_config.h"

#include <string>

namespace turnpike::engine {
namespace {

constexpr std::int64_t kMaxPositions = 1 << 30;

// Newer files write rope_type, older ones type.
std::string_view type_key(const JsonReader& scaling) {
    return scaling.has("rope_type") ? "rope_type" : "type";
}

}  // namespace

double optional_number(JsonReader& reader, std::string_view key, double fallback) {
    return reader.has(key) ? reader.number(key) : fallback;
}

std::optional<JsonReader> read_rope(JsonReader& config, kernels::YarnParams& yarn) {
    if (config.has("rope_parameters")) {
        config.fail("rope_parameters",
                    "this engine reads rope_theta and rope_scaling, as the published files have "
                    "them, found the newer form");
    }
    config.expect("partial_rotary_factor", 1.0);
    yarn.theta = config.number("rope_theta");
    if (yarn.theta <= 1.0) config.fail("rope_theta", "expected more than 1");
    if (!config.has("rope_scaling")) return std::nullopt;
    JsonReader scaling = config.section("rope_scaling");
    if (scaling.text(type_key(scaling)) == "default") return std::nullopt;
    scaling.expect("type", "yarn");
    scaling.expect("rope_type", "yarn");
    scaling.expect("truncate", true);
    return scaling;
}

void read_yarn(JsonReader& scaling, kernels::YarnParams& yarn) {
    yarn.factor = scaling.number("factor");
    yarn.beta_fast = optional_number(scaling, "beta_fast", 32.0);
    yarn.beta_slow = optional_number(scaling, "beta_slow", 1.0);
    yarn.original_max_positions =
        scaling.integer("original_max_position_embeddings", 1, kMaxPositions);
    if (yarn.factor < 1.0) scaling.fail("factor", "expected at least 1");
    if (yarn.beta_fast <= 0.0) scaling.fail("beta_fast", "expected more than 0");
    if (yarn.beta_slow <= 0.0) scaling.fail("beta_slow", "expected more than 0");
}

}  // namespace turnpike::engine
