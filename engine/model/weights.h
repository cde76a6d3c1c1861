// Weights that architectures share the shape of: taking one into a backend, and the gated MLP.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/base/result.h"
#include "engine/model/checkpoint.h"
#include "engine/model/partition.h"
#include "kernels/api/backend.h"

namespace turnpike::engine {

using Weight = std::unique_ptr<kernels::PreparedWeight>;

// Errors: kCorrupt for values that are not finite.
Status load_weight(const Checkpoint& checkpoint,
                   const std::string& name,
                   kernels::Backend& backend,
                   Weight& out);

// Only those rows; nothing is loaded when there are none.
Status load_rows(const Checkpoint& checkpoint,
                 const std::string& name,
                 Range rows,
                 kernels::Backend& backend,
                 Weight& out);

// A rank's share of a linear whose sum over K runs in segments: the whole of it, or a weight for
// each of the rank's segments.
struct SplitLinear {
    SplitK split;
    Weight whole;
    std::vector<Weight> segments;
};

Status load_split(const Checkpoint& checkpoint,
                  const std::string& name,
                  const SplitK& split,
                  kernels::Backend& backend,
                  SplitLinear& out);

// down(silu(gate(x)) * up(x)).
struct GatedMlp {
    Weight gate, up, down;  // [width, hidden], [width, hidden], [hidden, width]

    kernels::MlpWeights view() const { return {gate.get(), up.get(), down.get()}; }
};

// prefix + "gate_proj.weight" and its sisters. Errors as load_weight.
Status load_mlp(const Checkpoint& checkpoint,
                const std::string& prefix,
                kernels::Backend& backend,
                GatedMlp& out);

// The same, divided among ranks along its width.
struct SplitMlp {
    Weight gate, up;  // this rank's rows; null when it has none
    SplitLinear down;
};

Status load_split_mlp(const Checkpoint& checkpoint,
                      const std::string& prefix,
                      const SplitK& split,
                      kernels::Backend& backend,
                      SplitMlp& out);

}  // namespace turnpike::engine
