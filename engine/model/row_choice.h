// choose_rows: some rows of a step as rows of their own, for a layer that is run over them alone.
#pragma once

#include <cstdint>
#include <span>

#include "engine/model/model.h"

namespace turnpike::engine {

// `chosen`: ascending rows of `rows`. Each keeps its position, its token, its form of attention,
// its blocks and its pool; no logits are asked for. Block tables are shared with `rows`.
ForwardRows choose_rows(const ForwardRows& rows, std::span<const std::int64_t> chosen);

}  // namespace turnpike::engine
