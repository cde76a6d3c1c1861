// What config.json says about rotary positions, alike in every architecture: rope_theta, and a
// rope_scaling block that is YaRN's or none.
#pragma once

#include <optional>

#include "engine/model/json_reader.h"
#include "kernels/api/rope.h"

namespace turnpike::engine {

// Fills theta. Returns the block that says how positions are scaled, its kind checked; none where
// they are not. Keys that would change the frequencies in a way that is not run here fail.
std::optional<JsonReader> read_rope(JsonReader& config, kernels::YarnParams& yarn);

// factor, original_max_position_embeddings, and beta_fast and beta_slow, 32 and 1 when left out.
void read_yarn(JsonReader& scaling, kernels::YarnParams& yarn);

double optional_number(JsonReader& reader, std::string_view key, double fallback);

}  // namespace turnpike::engine
